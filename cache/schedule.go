package cache

import "time"

// This file decides what to ask the source for, and when. All of it runs under a.mu.
//
// A first read asks for little: its block, and with the archive's head also the tail,
// which every zip reader wants next. A reader that goes on sequentially gets a long
// stream that runs ahead of it in a bounded window. A far seek opens another stream.

const (
	// smallArchive is the number of blocks up to which an archive is fetched whole
	// with its first block.
	smallArchive = 4
	// tailBytes is how much of an archive's end a zip reader looks at first: the end
	// record and the longest comment that it can have.
	tailBytes = 66 << 10
	// nearTail is the largest gap, in blocks, between a first read and the known
	// tail that is asked for at once. The gap is the central directory.
	nearTail = 8
	// nearSeek is the distance in blocks up to which a stream reads through to a
	// reader ahead of it. Beyond that, another stream is opened.
	nearSeek = 2
	// firstRange and rangeGrowth make the ranges grow with what has been read in
	// order. A reader that stops early then wastes little of the link: a server
	// cannot take back what it has put on the wire.
	firstRange  = 8
	rangeGrowth = 8
	// diskWindow is how many blocks ahead of a reader are fetched to disk.
	// memoryWindow is how many are fetched ahead of all readers together when blocks
	// stay in memory.
	diskWindow   = 16
	memoryWindow = poolBlocks / 2
	// minSegment and maxSegment bound what each of a reader's parallel streams
	// fetches at a time.
	minSegment = 4
	maxSegment = 32
	// parallelRun is how much a reader reads in order before it gets more than one
	// stream. A zip's directory is usually smaller.
	parallelRun = 8 << 20
)

// tail returns the first block of the archive's tail.
func (a *archive) tail() int { return blockOf(max(0, a.info.Size-tailBytes)) }

// want sees to it that the missing block b comes. It leaves the block to a stream
// that will soon be there, or else opens another stream.
func (a *archive) want(b int) {
	a.c.missed()
	for s := range a.streams {
		if s.next <= b && b < s.end {
			if b-s.next <= a.near() {
				s.poke()
				return
			}
			s.end = b
			break
		}
	}
	dear := a.c.skips.dear()
	if dear && !a.inMemory() {
		for b > 0 && a.missing(b-1) && !a.claimed(b-1) {
			b-- // the stream passes it anyway
		}
	}
	var run int64
	for _, cur := range a.cursors {
		if b >= blockOf(max(0, cur.pos-cursorBehind)) && b <= cur.block() {
			run = max(run, cur.run)
		}
	}
	if b == 0 && run < sequentialRun && a.n > smallArchive && !a.inMemory() && !dear {
		if t := a.tail(); a.missing(t) && !a.claimed(t) {
			defer a.start(t, a.stop(t), true)
		}
	}
	end, must := a.rangeEnd(b, run, 1), false
	if !a.inMemory() {
		var read int
		read, must = a.readEnd(b)
		end = max(end, min(read, a.stop(b)))
	}
	a.start(b, end, must)
}

// readEnd returns the block after the last block of the read that includes block b. A
// read is asked for as a whole. must says that it is an expected read: nobody waits for
// its last block yet.
func (a *archive) readEnd(b int) (end int, must bool) {
	end = b + 1
	for _, cur := range a.cursors {
		if cur.includes(b) {
			end = max(end, blockOf(cur.pos-1)+1)
			must = must || cur.expected
		}
	}
	return end, must
}

// claimed reports whether a stream is going to bring block b.
func (a *archive) claimed(b int) bool {
	for s := range a.streams {
		if s.next <= b && b < s.end {
			return true
		}
	}
	return false
}

// stop returns the first block after b that need not be fetched.
func (a *archive) stop(b int) int {
	limit := a.n
	for s := range a.streams {
		if s.next > b && s.next < s.end {
			limit = min(limit, s.next)
		}
	}
	if a.state == nil {
		// Every block that is not in memory is missing, and there is no limit to their number.
		for i := range a.mem {
			if i > b && i < limit {
				limit = i
			}
		}
		return limit
	}
	for i := b + 1; i < limit; i++ {
		if !a.missing(i) {
			return i
		}
	}
	return limit
}

// rangeEnd returns the end of a stream that starts at block b, for a reader that has
// read run bytes in order.
func (a *archive) rangeEnd(b int, run int64, lanes int) int {
	stop := a.stop(b)
	switch {
	case b >= a.tail(), b == 0 && a.n <= smallArchive, a.c.skips.dear():
		return stop
	case run < sequentialRun && stop < a.n && stop >= a.tail() && stop-b <= nearTail:
		return stop
	case run < sequentialRun:
		return b + 1
	case lanes > 1:
		return min(stop, b+a.segment(b, run, lanes))
	}
	end := b + max(firstRange, rangeGrowth*int(run/BlockSize))
	if stop-end <= firstRange {
		return stop // the rest is not worth another request
	}
	return end
}

// segment returns how many blocks from b on each of several parallel streams fetches.
// It is few at first, and few at the end of the archive, where the streams have to
// finish together.
func (a *archive) segment(b int, run int64, lanes int) int {
	if a.inMemory() {
		return max(1, a.window(run)/lanes)
	}
	rest := a.n - b
	if rest <= lanes*minSegment {
		return (rest + lanes - 1) / lanes
	}
	return max(minSegment, min(int(run/BlockSize)/lanes, rest/(2*lanes), maxSegment))
}

// inMemory reports whether new blocks stay in memory.
func (a *archive) inMemory() bool { return !a.toDisk() || a.noRoom }

// window returns how many blocks a stream may be ahead of a reader that has read run
// bytes in order.
func (a *archive) window(run int64) int {
	if a.inMemory() {
		return max(1, memoryWindow/max(1, a.c.lanes.archives()))
	}
	most := diskWindow
	if a.c.lanes.archives() == 1 {
		most = keepAhead // memory then holds all of it until it is read
	}
	return int(min(max(1, 2*run/BlockSize), int64(most)))
}

// reach returns how many blocks ahead of cur a stream may start, and how many blocks
// ahead it may go on to.
func (a *archive) reach(cur *cursor, lanes int) (start, goOn int) {
	w := a.window(cur.run)
	if lanes == 1 {
		return w, w
	}
	seg := a.segment(cur.block(), cur.run, lanes)
	if a.inMemory() {
		return w, w
	}
	return max(w, lanes*seg), max(w, (lanes+1)*seg)
}

// lanes returns how many streams may run ahead of cur.
func (a *archive) lanes(cur *cursor) int {
	if cur.run < parallelRun || a.c.skips.dear() {
		return 1
	}
	return a.c.lanes.allowed()
}

// ahead opens the streams that should run ahead of cur.
func (a *archive) ahead(cur *cursor) {
	if !cur.sequential() || a.handles == 0 || time.Since(cur.last) > cursorBusy {
		return
	}
	lanes := a.lanes(cur)
	// Begin where the latest read starts: what that read lacks comes with the same
	// request as what follows.
	first := blockOf(cur.from)
	reach, _ := a.reach(cur, lanes)
	limit := min(a.n, cur.block()+reach)
	active := 0
	for s := range a.streams {
		// A reader's only stream gets its successor while it ends. Parallel streams
		// are never more than allowed.
		if (s.next < s.end || lanes > 1) && s.end >= first-diskWindow && s.next <= limit {
			active++
		}
	}
	for b := first; b < limit && active < lanes; b++ {
		if a.missing(b) && !a.claimed(b) {
			a.start(b, a.rangeEnd(b, cur.run, lanes), false)
			active++
		}
	}
	for active < lanes && a.split(first, limit, cur.run, lanes) {
		active++
	}
}

// split hands part of a stream that serves [first, limit) to another stream.
func (a *archive) split(first, limit int, run int64, lanes int) bool {
	const worth = 4 // blocks
	var longest *stream
	for s := range a.streams {
		if s.end > first && s.next < limit && s.end-s.next >= worth && (longest == nil || s.end-s.next > longest.end-longest.next) {
			longest = s
		}
	}
	if longest == nil {
		return false
	}
	rest := longest.end - longest.next
	at := longest.next + min(a.segment(longest.next, run, lanes), rest/2)
	if at >= limit {
		return false
	}
	end := min(longest.end, at+a.segment(at, run, lanes))
	longest.end = at
	a.start(at, end, false)
	return true
}

// wanted reports whether stream s should fetch its next block now. resuming says that
// s has stopped because it was far enough ahead.
func (a *archive) wanted(s *stream, resuming bool) bool {
	if a.serves(s, resuming) {
		if s.background.CompareAndSwap(true, false) {
			a.count(1)
		}
		return true
	}
	return s.background.Load() && !a.c.busy()
}

// serves reports whether a reader waits for the next block of s, or whether the block
// should be read ahead for one.
func (a *archive) serves(s *stream, resuming bool) bool {
	if a.urgent(s) {
		return true
	}
	if a.handles == 0 {
		return false
	}
	if s.must {
		return true
	}
	for _, cur := range a.cursors {
		if !cur.sequential() {
			continue
		}
		first := cur.block()
		_, reach := a.reach(cur, a.lanes(cur))
		if resuming {
			reach = (reach + 1) / 2
		}
		if s.next >= first && s.next < first+reach {
			return true
		}
	}
	return false
}

// urgent reports whether a reader waits for the next block of s, or for one that s
// will reach soon.
func (a *archive) urgent(s *stream) bool {
	end := min(s.end, s.next+a.near()+1)
	for b := range a.waits {
		if s.next <= b && b < end {
			return true
		}
	}
	return false
}

// near returns the distance in blocks up to which a stream reads through to a reader
// ahead of it.
func (a *archive) near() int {
	if a.c.skips.dear() {
		return a.n
	}
	return nearSeek
}

// poke makes the streams that have stopped check whether they are wanted again.
func (a *archive) poke() {
	for s := range a.streams {
		s.poke()
	}
}
