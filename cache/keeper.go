package cache

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// flushBlocks and flushAfter bound what a crash can lose: the index is brought
	// up to date after so many blocks, or so long after the first of them.
	flushBlocks = 64
	flushAfter  = 2 * time.Second
)

// keeper is what the cache's housekeeping goroutine works on: it brings the index
// up to date and ends streams that nobody needs.
type keeper struct {
	bell chan struct{}
	idx  *index // only used by the goroutine, before it runs and after it ended

	mu      sync.Mutex
	changed map[*archive]struct{} // what the index does not know yet
	blocks  int                   // of them, since the last flush
	removed []string              // data files that are gone
}

func (k *keeper) init() {
	k.bell = make(chan struct{}, 1)
	k.changed = make(map[*archive]struct{})
}

// close closes the index.
func (k *keeper) close() error {
	if k.idx == nil {
		return nil
	}
	return k.idx.close()
}

// forget has the index forget a data file.
func (k *keeper) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removed = append(k.removed, name)
}

// kick wakes the housekeeping: something may have to be done soon.
func (c *Cache) kick() {
	select {
	case c.keeper.bell <- struct{}{}:
	default:
	}
}

// note has the index told, soon, of n more blocks of a that are or are not there.
func (c *Cache) note(a *archive, n int) {
	c.keeper.mu.Lock()
	c.keeper.changed[a] = struct{}{}
	c.keeper.blocks += n
	ring := c.keeper.blocks == n || c.keeper.blocks >= flushBlocks
	c.keeper.mu.Unlock()
	if ring {
		c.kick()
	}
}

// keep is the housekeeping goroutine. It sleeps while there is nothing to do.
func (c *Cache) keep() {
	var since time.Time // of the oldest change that the index does not know
	for {
		var tick <-chan time.Time
		var timer *time.Timer
		if c.tidy() {
			timer = time.NewTimer(min(abandonAfter, c.cfg.flushAfter))
			tick = timer.C
		}
		select {
		case <-c.keeper.bell:
			// Many rings in a row are answered once.
		case <-tick:
		case <-c.ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if c.ctx.Err() != nil {
			return
		}
		dirty, urgent := c.dirty()
		switch {
		case !dirty:
			since = time.Time{}
		case since.IsZero() && !urgent:
			since = time.Now()
		case urgent || time.Since(since) >= c.cfg.flushAfter:
			since = time.Time{}
			if err := c.flush(); err != nil {
				c.log.Warn("cache index not up to date", "op", "flush", "err", err)
			}
		}
	}
}

// dirty reports whether the index has to learn something, and whether at once.
func (c *Cache) dirty() (dirty, urgent bool) {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	return len(c.keeper.changed) > 0 || len(c.keeper.removed) > 0, c.keeper.blocks >= flushBlocks
}

// tidy ends streams that nobody needs, and reports whether there is anything to
// look at again later.
func (c *Cache) tidy() bool {
	c.mu.Lock()
	active := make([]*archive, 0, len(c.active))
	for a := range c.active {
		active = append(active, a)
	}
	c.mu.Unlock()
	again, _ := c.dirty()
	for _, a := range active {
		if a.tidy(time.Now()) {
			again = true
		}
	}
	return again
}

// tidy is Cache.tidy for one archive.
func (a *archive) tidy(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expireCursors(now)
	again := len(a.streams) > 0
	for s := range a.streams {
		switch {
		case s.background.Load():
		case !s.paused.IsZero() && now.Sub(s.paused) >= streamLinger:
			s.cancel()
		case a.handles > 0 || len(a.waiters) > 0:
		case now.Sub(a.idle) >= abandonAfter+finishWithin:
			s.cancel()
		case now.Sub(a.idle) >= abandonAfter:
			// The block it is in is worth finishing, the connection is not.
			s.end = s.next
			s.poke()
		}
	}
	return again
}

// flush syncs what has been written and lets the index claim it.
func (c *Cache) flush() error {
	c.keeper.mu.Lock()
	removed, changed := c.keeper.removed, c.keeper.changed
	c.keeper.removed, c.keeper.blocks = nil, 0
	c.keeper.changed = make(map[*archive]struct{})
	c.keeper.mu.Unlock()
	if c.keeper.idx == nil {
		return nil // it has failed; what it does not know is fetched again
	}

	var changes []change
	var errs []error
	for a := range changed {
		ch, err := c.changesOf(a)
		if err != nil {
			errs = append(errs, err)
		} else if ch != nil {
			changes = append(changes, *ch)
		}
	}
	for _, name := range removed {
		changes = append(changes, change{name: name, remove: true})
	}
	if len(changes) == 0 {
		return errors.Join(errs...)
	}
	if err := c.keeper.idx.commit(changes); err != nil {
		// What is in memory stays right; the next run starts with an empty cache.
		c.keeper.idx.close()
		c.keeper.idx = nil
		errs = append(errs, err, os.Remove(c.disk.index()))
		return errors.Join(errs...)
	}
	c.indexSize.Store(c.keeper.idx.size())
	return errors.Join(errs...)
}

// changesOf syncs a's data file and returns what the index has to learn about it,
// nil if nothing.
func (c *Cache) changesOf(a *archive) (*change, error) {
	a.mu.Lock()
	if a.dropped.Load() || a.state == nil {
		a.mu.Unlock()
		return nil, nil
	}
	ch := &change{name: a.name, meta: meta{info: a.info}}
	claims := false
	for b := range a.pending {
		bc := blockChange{block: b, sum: a.sums[b], claim: a.is(b) != blockAbsent}
		claims = claims || bc.claim
		ch.blocks = append(ch.blocks, bc)
	}
	clear(a.pending)
	a.mu.Unlock()
	c.mu.Lock()
	ch.meta.used = a.used
	c.mu.Unlock()
	if claims {
		err := c.disk.sync(a.name)
		if a.goneWith(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("sync %s: %w", a.info.ID, err)
		}
	}
	return ch, nil
}
