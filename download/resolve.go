package download

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const maxResolves = 8 // paths of one list resolved at once

// resolve returns the list's nodes. It resolves the paths, a bounded number at once,
// and drops nodes that turn out to be in the list already.
func (m *Manager) resolve(l List) ([]NodeID, error) {
	nodes := make([]NodeID, len(l.Entries))
	var paths []int
	for i, e := range l.Entries {
		if nodes[i] = e.Node; e.Node == "" {
			paths = append(paths, i)
		}
	}
	if err := m.resolvePaths(l, paths, nodes); err != nil {
		return nil, err
	}
	seen := make(map[NodeID]bool, len(nodes))
	kept := nodes[:0]
	for _, n := range nodes {
		if bare := n.Bare(); !seen[bare] {
			seen[bare] = true
			kept = append(kept, n)
		}
	}
	return kept, nil
}

func (m *Manager) resolvePaths(l List, paths []int, nodes []NodeID) error {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(maxResolves, len(paths)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(paths) {
					return
				}
				path := l.Entries[paths[i]].Path
				n, err := m.resolveOne(ctx, path)
				if err != nil {
					cancel(err) // the first one counts
					return
				}
				nodes[paths[i]] = n
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		if m.ctx.Err() != nil {
			return errUnmounting
		}
		return err
	}
	return nil
}

func (m *Manager) resolveOne(ctx context.Context, path string) (NodeID, error) {
	var n NodeID
	began := time.Now()
	err := m.call("resolve", "", func() (err error) {
		n, err = m.service.Resolve(ctx, path)
		return err
	})
	if ctx.Err() == nil {
		m.note(err, began)
	}
	if err == nil && !n.Valid() {
		err = fmt.Errorf("resolve %s: %w", path, impossible("node id %.64q", string(n)))
	}
	return n, err
}
