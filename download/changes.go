package download

import (
	"maps"
	"slices"
)

// changes are the downloads that have come, gone or changed since the last call of
// Changes. Manager.mu guards them.
type changes struct {
	of   map[*Download]struct{} // nil before the first call
	more chan struct{}          // closed when of is no longer empty
}

// Changes returns the downloads that have come, gone or changed since it was called
// last, in no order, and a channel that is closed when there are more. The first call
// returns none. It makes no request and does not wait. It is for one caller only.
func (m *Manager) Changes() (changed []*Download, more <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.changes
	if c.of == nil || len(c.of) > 0 {
		changed = slices.Collect(maps.Keys(c.of))
		c.of, c.more = make(map[*Download]struct{}), make(chan struct{})
	}
	return changed, c.more
}

// change notes that d has changed. Manager.mu is held.
func (m *Manager) change(d *Download) {
	c := &m.changes
	if c.of == nil {
		return
	}
	if len(c.of) == 0 {
		close(c.more)
	}
	c.of[d] = struct{}{}
}
