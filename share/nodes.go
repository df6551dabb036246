package share

import (
	"context"
	"errors"
	iofs "io/fs"

	"downloadfs/download"
)

const (
	// maxNodes is how many nodes of a download are in its record of the list. More are in
	// an object of their own, so that a new mount does not read all of them twice.
	maxNodes = 1000
	// maxNodesObject bounds that object: a million nodes.
	maxNodesObject = 128 << 20
)

// putNodes writes the long lists of nodes of the downloads that the others do not know
// yet.
func (l *list) putNodes(ctx context.Context) error {
	if l.s.cfg.Only {
		return nil
	}
	for i := range l.local {
		d := &l.local[i]
		if len(d.Nodes) <= maxNodes || l.log.roll.byID[d.ID] != nil {
			continue
		}
		if _, was := l.base[d.ID]; l.log.roll.removed[d.ID] && (was || l.first) {
			continue // it is about to be removed here
		}
		if log, stored := l.stored[d.ID]; stored && log == l.log.roll.Log {
			continue
		}
		p, err := seal(d.Nodes)
		if err != nil {
			return err
		}
		if err := l.s.store.create(ctx, nodesKey(d.ID), p); err != nil && !errors.Is(err, iofs.ErrExist) {
			return err
		}
		l.stored[d.ID] = l.log.roll.Log
	}
	return nil
}

// nodesOf returns the nodes of a download. An error means that they can perhaps be read
// later. It returns none if they are lost.
func (l *list) nodesOf(ctx context.Context, e *entry) (nodes []download.NodeID, err error) {
	if e.Many == 0 {
		return e.Nodes, nil
	}
	for range 2 { // damage may be on the way only
		var p []byte
		if p, err = l.s.store.readWithin(ctx, nodesKey(e.ID), maxNodesObject, writtenWithin); err == nil {
			err = unseal(p, &nodes)
		}
		if !errors.Is(err, errDamaged) {
			break
		}
	}
	if errors.Is(err, errDamaged) || errors.Is(err, iofs.ErrNotExist) {
		l.s.log.Warn("the share has lost the nodes of a download; listing it without them", "op", "share", "download", e.ID, "err", err)
		return nil, nil
	}
	return nodes, err
}
