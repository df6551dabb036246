package share

import (
	"context"
	"maps"
	"slices"

	"downloadfs/download"
)

// renewer is a store whose place another one can take, as a directory can be replaced.
// It notices that by itself. From then on its methods return errReplaced, until renew.
type renewer interface {
	replaced() bool
	// renew makes it the store that has taken its place, if one has. Calls that have
	// begun before may fail.
	renew()
}

// renew goes over to the store that has taken the place of the one that was used. What
// this mount knew of the old one is forgotten first, so that it takes nothing to be in
// the new one, and writes no half of an archive there.
func (l *list) renew(ctx context.Context) {
	store, ok := l.s.cfg.Store.(renewer)
	if !ok || !store.replaced() {
		return
	}
	l.s.log.Warn("another directory has taken the place of the shared one; using that", "op", "share")
	l.mu.Lock()
	var sending []download.ID
	for id, t := range l.turns {
		if t.sent != nil {
			sending = append(sending, id)
		}
	}
	l.mu.Unlock()
	for _, id := range sending { // they are offered again
		l.end(ctx, id)
	}
	l.s.mu.Lock()
	archives := slices.Collect(maps.Values(l.s.archives))
	l.s.mu.Unlock()
	for _, a := range archives {
		a.anew(ctx)
	}
	l.s.gate.known.Store(false)
	l.s.clock.wrong.Store(true)
	l.log.begin()
	clear(l.stored)
	store.renew()
}
