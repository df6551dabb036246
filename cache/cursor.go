package cache

import (
	"slices"
	"time"
)

const (
	// sequentialRun is how much a reader reads in order before the cache reads ahead
	// of it. It is less than a block: the next block is asked for before the reader
	// stands still at its start. It is more than a kernel reads ahead of a program
	// that only looks at a file's head.
	sequentialRun = BlockSize / 2
	// cursorBehind and cursorAhead are how far a read may be from a cursor and still
	// belong to it. A kernel's read-ahead arrives in pieces and out of order.
	cursorBehind = 4 << 20
	cursorAhead  = 4 << 20
	// keepAhead is how many blocks ahead of all readers together stay in memory until
	// they are read. keepMin is the minimum ahead of each reader. keepBehind is how
	// far a reader that gets bytes as they arrive may be beyond a block that is being
	// written.
	keepAhead  = 12
	keepMin    = 2
	keepBehind = storeAhead + 1
	// maxCursors is how many places per archive are followed.
	maxCursors = 32
	// cursorLife is how long a place is remembered after its last read.
	cursorLife = 30 * time.Second
	// cursorBusy is how soon after a read a sequential reader's next read is
	// expected. cursorPause is the same for a reader that may not be sequential.
	cursorBusy  = 2 * time.Second
	cursorPause = 100 * time.Millisecond
)

// cursor is a place in an archive where somebody reads. Readers at the same place
// share one cursor.
type cursor struct {
	from int64 // start of the read that reached furthest
	pos  int64 // end of that read
	run  int64 // bytes read in order up to pos
	last time.Time
	// expected says that the bytes from from to pos are read in pieces.
	expected bool
}

// block returns the first block that the reader has not reached the end of.
func (c *cursor) block() int { return blockOf(c.pos) }

// includes reports whether the read that reached furthest includes block b.
func (c *cursor) includes(b int) bool {
	return c.pos > c.from && blockOf(c.from) <= b && b <= blockOf(c.pos-1)
}

// sequential reports whether reading ahead of c is likely to help.
func (c *cursor) sequential() bool { return c.run >= sequentialRun }

// noteRead records a read of [off, off+n) and starts the streams that read ahead of it.
func (a *archive) noteRead(off, n int64) { a.noteRange(off, n, false) }

// noteRange is noteRead for a read that may be only expected, and comes in pieces.
func (a *archive) noteRange(off, n int64, expected bool) {
	if a.good.Load() == int64(a.n) {
		return // nothing left to fetch
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cur := a.cursor(off, n)
	end := off + n
	before, wasSequential := cur.block(), cur.sequential()
	if end > cur.pos {
		cur.run += min(end-cur.pos, n)
		if cur.from == cur.pos {
			// A single read is no sequence, however long it is.
			cur.run = min(cur.run, sequentialRun-1)
		}
		cur.from, cur.pos, cur.expected = off, end, expected
	}
	a.merge(cur)
	if cur.sequential() && (cur.block() != before || !wasSequential) {
		a.ahead(cur)
		a.poke()
	}
}

// cursor returns the cursor that a read of [off, off+n) belongs to; a.mu is held.
func (a *archive) cursor(off, n int64) *cursor {
	now := time.Now()
	for i, cur := range a.cursors {
		if off <= cur.pos+cursorAhead && off+n >= cur.pos-cursorBehind {
			cur.last = now
			// The latest goes first, because most reads belong to it.
			copy(a.cursors[1:], a.cursors[:i])
			a.cursors[0] = cur
			return cur
		}
	}
	cur := &cursor{from: off, pos: off, last: now}
	if len(a.cursors) >= maxCursors {
		a.cursors = a.cursors[:maxCursors-1]
	}
	a.cursors = slices.Insert(a.cursors, 0, cur)
	return cur
}

// merge drops the cursors that cur has caught up with. They belong to the same
// reader, whose requests came so far apart that they looked like two readers. a.mu is
// held.
func (a *archive) merge(cur *cursor) {
	a.cursors = slices.DeleteFunc(a.cursors, func(o *cursor) bool {
		same := o != cur && o.pos <= cur.pos && o.pos > cur.pos-cursorBehind
		if same {
			cur.run = max(cur.run, o.run)
		}
		return same
	})
}

// served notes that readers at block b got what they waited for. The wait may have
// been long. a.mu is held.
func (a *archive) served(b int) {
	now := time.Now()
	for _, cur := range a.cursors {
		if cur.block() == b || cur.pos == blockOffset(b+1) {
			cur.last = now
		}
	}
}

// reading reports whether a reader is in the middle of block b and going on. If the
// block were taken away now, it would be fetched again for the reader's next few
// bytes. a.mu is held.
func (a *archive) reading(b int) bool {
	now := time.Now()
	for _, cur := range a.cursors {
		next := cursorPause
		if cur.sequential() {
			next = cursorBusy
		}
		if cur.block() == b && cur.pos > blockOffset(b) && now.Sub(cur.last) < next {
			return true
		}
	}
	return false
}

// soon reports whether a sequential reader has just left block b, is in it, or will
// be in it shortly, so near that memory can hold the blocks between; or whether a
// reader reads a range with b in pieces. a.mu is held.
func (a *archive) soon(b int) bool {
	near := max(keepMin, keepAhead/a.c.lanes.archives())
	for _, cur := range a.cursors {
		if cur.expected && cur.includes(b) && time.Since(cur.last) < cursorPause {
			return true
		}
		if at := cur.block(); cur.sequential() && b >= at-keepBehind && b < at+near && time.Since(cur.last) < cursorBusy {
			return true
		}
	}
	return false
}

// expireCursors forgets places that nobody has read at for a while. a.mu is held.
func (a *archive) expireCursors(now time.Time) {
	a.cursors = slices.DeleteFunc(a.cursors, func(cur *cursor) bool {
		return now.Sub(cur.last) > cursorLife
	})
}
