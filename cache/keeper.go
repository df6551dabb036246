package cache

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// flushBlocks and flushAfter bound what a crash can lose. The index is updated
	// after that many blocks, or that long after the first of them.
	flushBlocks = 64
	flushAfter  = 2 * time.Second
)

// keeper is the state of the cache's housekeeping goroutine, which updates the index
// and ends streams that nobody needs.
type keeper struct {
	bell chan struct{}
	idx  *index // used only by the goroutine, before it starts and after it has ended

	mu      sync.Mutex
	changed map[*archive]struct{} // what the index does not know yet
	blocks  int                   // number of changed blocks since the last flush
	removed []string              // data files that are gone
	syncs   []chan<- error        // the callers that wait for the next flush
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

// forget makes the next flush remove a data file from the index.
func (k *keeper) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removed = append(k.removed, name)
}

// kick wakes the housekeeping goroutine, because something may have to be done soon.
func (c *Cache) kick() {
	select {
	case c.keeper.bell <- struct{}{}:
	default:
	}
}

// note has the index updated soon about n more blocks of a, present or gone.
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

// hurry has the index updated at once.
func (c *Cache) hurry() {
	c.keeper.mu.Lock()
	c.keeper.blocks = max(c.keeper.blocks, flushBlocks)
	c.keeper.mu.Unlock()
	c.kick()
}

// keep is the housekeeping goroutine. It sleeps while there is nothing to do.
func (c *Cache) keep() {
	var since time.Time // time of the oldest change that the index does not know
	for {
		var tick <-chan time.Time
		var timer *time.Timer
		if c.tidy() {
			timer = time.NewTimer(min(abandonAfter, c.cfg.flushAfter))
			tick = timer.C
		}
		select {
		case <-c.keeper.bell:
			// Several rings in a row count as one.
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
				c.log.Warn("the cache index cannot be written; the next mount starts with an empty cache", "op", "flush", "err", err)
			}
		}
	}
}

// dirty reports whether the index has to be updated, and whether at once.
func (c *Cache) dirty() (dirty, urgent bool) {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	waited := len(c.keeper.syncs) > 0
	return len(c.keeper.changed) > 0 || len(c.keeper.removed) > 0 || waited, c.keeper.blocks >= flushBlocks || waited
}

// tidy ends streams that nobody needs, and reports whether to look again later.
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
	again := a.tidyMemory(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expireCursors(now)
	again = again || len(a.streams) > 0
	for s := range a.streams {
		switch {
		case s.background.Load():
		case !s.paused.IsZero() && now.Sub(s.paused) >= streamLinger:
			s.cancel()
		case a.handles > 0 || len(a.waits) > 0:
		case now.Sub(a.idle) >= abandonAfter+finishWithin:
			s.cancel()
		case now.Sub(a.idle) >= abandonAfter:
			// Its current block is worth finishing. The connection is not.
			s.end = s.next
			s.poke()
		}
	}
	return again
}

// tidyMemory gives up the blocks in memory that are also on disk once nobody reads
// any more. It reports whether any are left.
func (a *archive) tidyMemory(now time.Time) bool {
	a.mu.Lock()
	reading := slices.ContainsFunc(a.cursors, func(cur *cursor) bool { return now.Sub(cur.last) < cursorBusy })
	left := false
	var bufs [][]byte
	for _, e := range a.mem {
		switch {
		case !e.saved:
		case reading || e.refs > 0:
			left = true
		default:
			bufs = append(bufs, a.discard(e))
		}
	}
	a.mu.Unlock()
	for _, buf := range bufs {
		a.c.pool.put(buf)
	}
	return left
}

// hold makes the keeper keep a's data file open until everything written to it is
// synced. Linux may forget that a write failed if nobody has the file open. a.mu is
// held.
func (c *Cache) hold(a *archive) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !a.unsynced {
		a.unsynced = true
		a.held++
		c.acquire(a)
	}
}

// unhold ends hold.
func (c *Cache) unhold(a *archive) {
	c.mu.Lock()
	held := a.unsynced
	a.unsynced = false
	c.mu.Unlock()
	if held {
		c.releaseHeld(a)
	}
}

// takeHeld gives the caller the reference that hold took, or a new one. What is
// written from now on is held anew. a.mu is held.
func (c *Cache) takeHeld(a *archive) {
	c.hold(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	a.unsynced = false
}

// releaseHeld returns a reference that takeHeld gave.
func (c *Cache) releaseHeld(a *archive) {
	c.mu.Lock()
	a.held--
	c.mu.Unlock()
	c.release(a)
}

// flush syncs what has been written and then lets the index claim it.
func (c *Cache) flush() (err error) {
	c.keeper.mu.Lock()
	removed, changed, syncs := c.keeper.removed, c.keeper.changed, c.keeper.syncs
	c.keeper.removed, c.keeper.blocks, c.keeper.syncs = nil, 0, nil
	c.keeper.changed = make(map[*archive]struct{})
	c.keeper.mu.Unlock()
	defer func() {
		told := err
		if told == nil && c.keeper.idx == nil {
			told = errNoIndex
		}
		for _, s := range syncs {
			s <- told
		}
	}()

	var changes []change
	for a := range changed {
		if ch := c.changesOf(a); ch != nil {
			changes = append(changes, *ch)
		}
	}
	for _, name := range removed {
		changes = append(changes, change{name: name, remove: true})
	}
	if len(changes) == 0 || c.keeper.idx == nil { // nil: it failed, and what it does not know is fetched again
		return nil
	}
	if err := c.keeper.idx.commit(changes); err != nil {
		// What is in memory stays right; the next run starts with an empty cache.
		c.keeper.idx.close()
		c.keeper.idx = nil
		return errors.Join(err, os.Remove(c.disk.index()))
	}
	c.indexSize.Store(c.keeper.idx.size())
	return nil
}

// changesOf syncs a's data file and returns the changes for the index, or nil if
// there are none.
func (c *Cache) changesOf(a *archive) *change {
	a.mu.Lock()
	if a.dropped.Load() || a.state == nil {
		a.mu.Unlock()
		c.unhold(a)
		return nil
	}
	ch := &change{name: a.name, meta: meta{info: a.info}}
	claims := false
	for b := range a.pending {
		bc := blockChange{block: b, sum: a.sums[b], claim: a.is(b) != blockAbsent}
		claims = claims || bc.claim
		ch.blocks = append(ch.blocks, bc)
	}
	clear(a.pending)
	c.takeHeld(a)
	a.mu.Unlock()
	defer c.releaseHeld(a)
	c.mu.Lock()
	ch.meta.used = a.used
	c.mu.Unlock()
	if !claims {
		return ch
	}
	f, err := a.open(false)
	if err == nil {
		err = c.cfg.sync(f)
	}
	if err != nil {
		if !a.dropped.Load() {
			a.lose(ch.blocks, err)
		}
		return nil
	}
	a.confirm(ch.blocks)
	return ch
}

// confirm notes that the blocks are on the disk.
func (a *archive) confirm(blocks []blockChange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, bc := range blocks {
		if a.is(bc.block) == blockWritten && !a.pending[bc.block] {
			a.set(bc.block, blockGood)
		}
	}
}

// lose gives up every block written since the last sync, because this sync failed.
// Linux reports a failed write once, to whichever sync comes next, and then treats
// the page as written. What such a block reads as is unknown and may change. blocks
// are those that the index will not learn about now.
func (a *archive) lose(blocks []blockChange, err error) {
	a.mu.Lock()
	a.losses++
	for _, bc := range blocks {
		a.pending[bc.block] = true
	}
	var lost []int
	for b := range a.state {
		if a.is(b) == blockWritten {
			a.set(b, blockChecked) // nobody writes it while its room is freed
			lost = append(lost, b)
		}
	}
	a.mu.Unlock()
	for _, b := range lost {
		a.giveBack(b)
	}
	var bufs [][]byte
	a.mu.Lock()
	for _, b := range lost {
		if buf := a.gone(b); buf != nil {
			bufs = append(bufs, buf)
		}
	}
	a.mu.Unlock()
	for _, buf := range bufs {
		a.c.pool.put(buf)
	}
	a.c.diskFailed(err)
	a.log().Warn("the disk did not keep what was written to the cache; it is fetched again when it is needed",
		"op", "sync", "len", len(lost)*BlockSize, "err", err)
	a.c.note(a, len(lost))
}
