package download

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"downloadfs/download/journal"
	"downloadfs/download/split"
)

// errNoRoom means that the cache cannot hold all parts.
var errNoRoom = fmt.Errorf("no room for the parts: %w", ErrTooLarge)

// planParts walks the nodes that were asked for, if that was not done yet, and journals
// the plan.
func (m *Manager) planParts(ctx context.Context, d *Download) error {
	a := d.parts
	m.mu.Lock()
	planned, limits := a.pieces != nil, split.Limits{Part: a.limit, File: m.maxFile}
	m.mu.Unlock()
	if !planned {
		if !a.idle {
			if err := m.cancelWhole(d); err != nil {
				return err
			}
			a.idle = true
		}
		ids := bare(d.nodes)
		trees, err := split.Walk(ctx, m.walked(m.looks(d)), ids, limits)
		if err != nil {
			return fmt.Errorf("look what is in it: %w", err)
		}
		if len(trees) < len(ids) {
			return Because(ErrNotFound, "%d of the %d nodes asked for do not exist, or this user may not read them", len(ids)-len(trees), len(ids))
		}
		name := "archive.zip"
		if len(trees) == 1 {
			name = safeFileName(trees[0].Name + ".zip")
		}
		pieces := split.Plan(trees, limits)
		m.locked(func() {
			a.name = name
			a.pieces = a.keyed(pieces)
			d.sumParts()
		})
		if err := m.journalPlan(d); err != nil {
			m.mu.Lock()
			a.pieces = nil
			m.mu.Unlock()
			return err
		}
	}
	if err := m.roomForParts(d); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.unlock()
	if d.removed || d.cancelled {
		return context.Canceled
	}
	if !planned {
		d.onward()
	}
	if old := d.progress.Status; old != StatusInProgress {
		d.progress.Status = StatusInProgress
		m.transition(d, old)
	}
	return nil
}

// keyed gives pieces their keys.
func (a *assembly) keyed(pieces []split.Piece) []*piece {
	all := make([]*piece, len(pieces))
	for i, p := range pieces {
		a.keys++
		all[i] = &piece{Piece: p, key: a.keys}
	}
	return all
}

// cancelWhole makes the server stop zipping the whole.
func (m *Manager) cancelWhole(d *Download) error {
	err := m.journal.Update(func(tx journal.Tx) error {
		var over bool
		var rec downloadRecord
		m.locked(func() { over, rec = d.removed || d.cancelled, d.record() })
		if over {
			return nil
		}
		if err := tx.Put(journal.Removals, d.serial, removalRecord{V: recordVersion, ID: d.id, Cancel: true}); err != nil {
			return err
		}
		return tx.Put(journal.Downloads, d.serial, rec)
	})
	if err != nil {
		return fmt.Errorf("get %s in parts: %w", d.id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.removed || d.cancelled || m.removals[d.id] != nil {
		return nil
	}
	r := m.removePart(d.id, d.serial, true)
	r.del, r.of = false, d
	return nil
}

// roomForParts returns an error if the cache cannot hold all parts. The server has told
// how large they are unpacked.
func (m *Manager) roomForParts(d *Download) error {
	m.mu.Lock()
	content, limit, need := int64(0), d.parts.limit, int64(1<<20)
	for _, p := range d.parts.pieces {
		size := p.Bytes + p.Bytes/1000 + 512*p.Files + 64<<10
		if p.fetched {
			size = p.archive.Size
		}
		content, need = content+p.Bytes, need+size
	}
	m.mu.Unlock()
	u := m.archives.Usage()
	if need <= u.Limit {
		return nil
	}
	if u.Limit == 0 {
		return Because(errNoRoom, "the content has %d bytes, which is over the server's size limit of %d, and without a cache it cannot be got in parts",
			content, limit)
	}
	return Because(errNoRoom, "the content has %d bytes, which is over the server's size limit of %d, and the cache is too small to get it in parts; mount with --cache-size %s",
		content, limit, sizeFor(need))
}

// sizeFor returns a size of at least n bytes for a command line.
func sizeFor(n int64) string {
	if n > 8<<30 {
		return fmt.Sprintf("%dG", n>>30+1)
	}
	return fmt.Sprintf("%dM", n>>20+1)
}

// replan cuts up a part that the server did not accept: with limits that it may accept,
// or without the nodes that are gone. It returns errReplanned, or why it has not
// replanned.
func (m *Manager) replan(ctx context.Context, d *Download, p *piece, limit int64, refused error) error {
	a := d.parts
	limits := split.Limits{Part: limit, File: m.maxFile}
	for {
		trees, err := split.Walk(ctx, m.walked(nil), p.Nodes, limits)
		if err != nil {
			return fmt.Errorf("look what is in it: %w", err)
		}
		pieces := split.Plan(trees, limits)
		if len(pieces) == 1 && pieces[0].Kind == split.Part && slices.Equal(pieces[0].Nodes, p.Nodes) {
			if !errors.Is(refused, ErrTooLarge) || limits.Part == 0 {
				return refused // nothing is gone, so a later try may succeed
			}
			limits.Part /= 2 // the server counts more than we do
			continue
		}
		for i := range pieces {
			pieces[i].Path = p.Path + pieces[i].Path
		}
		var old []*piece
		m.locked(func() {
			old = a.pieces
			at := slices.Index(old, p)
			a.pieces = slices.Concat(old[:at:at], a.keyed(pieces), old[at+1:])
			d.sumParts()
		})
		if err := m.journalPlan(d); err != nil {
			m.mu.Lock()
			a.pieces = old
			m.mu.Unlock()
			return err
		}
		m.log.Info("a part is cut anew", "op", "parts", "download", d.id, "len", len(pieces), "err", refused)
		return errReplanned
	}
}
