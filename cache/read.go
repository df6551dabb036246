package cache

import (
	"context"
	"errors"
	"slices"

	"downloadfs/download"
)

// readAt fills p from off. Both lie inside the archive. It blocks until the bytes are
// there or ctx ends.
func (a *archive) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	a.noteRead(off, int64(len(p)))
	n := 0
	for n < len(p) {
		b := blockOf(off)
		from := int(off - blockOffset(b))
		part := p[n:min(len(p), n+a.len(b)-from)]
		e, err := a.readBlock(ctx, part, b, from)
		if err != nil {
			return n, err
		}
		if e != nil {
			copy(part, e.buf[from:])
			a.unref(e, len(part))
		}
		n += len(part)
		off += int64(len(part))
	}
	return n, nil
}

// readBlock reads len(p) bytes of block b, from offset from in the block. If they are
// in memory, it returns the block, referenced. Otherwise it fills p.
func (a *archive) readBlock(ctx context.Context, p []byte, b, from int) (_ *memBlock, err error) {
	waited := false
	defer func() {
		if err == nil {
			a.c.traffic.answered(1, waited)
		}
	}()
	for {
		if a.wrong.Load() {
			return nil, download.ErrChanged
		}
		if e := a.inMem(b, int64(from+len(p))); e != nil {
			return e, nil
		}
		if state := a.is(b); state == blockGood || state == blockWritten {
			var e *memBlock
			var err error
			if state == blockGood {
				err = a.readFile(p, b, from)
			} else {
				e, err = a.readUnsynced(p, b, from)
			}
			if err == nil {
				return e, nil
			}
			if a.c.shut.Load() {
				return nil, download.ErrClosed
			}
			a.distrust()
			a.damaged(b, false, err)
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if a.c.ctx.Err() != nil {
			return nil, download.ErrClosed
		}
		if a.claimCheck(b) {
			a.check(b)
			continue
		}
		w, e := a.await(b, int64(from+len(p)))
		if w != nil {
			waited = true
			a.c.waiting.Add(1)
			select {
			case <-w.ch:
			case <-ctx.Done():
			case <-a.c.ctx.Done():
			}
			a.c.waiting.Add(-1)
			var err error
			if e, err = a.endWait(b, w); err != nil {
				return nil, err
			}
		}
		if e != nil {
			return e, nil
		}
	}
}

// inMem returns block b, referenced, if its first need bytes are in memory.
func (a *archive) inMem(b int, need int64) *memBlock {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.mem[b]
	if e == nil || e.filled.Load() < need {
		return nil
	}
	a.ref(e)
	return e
}

// anyInMem reports whether one of the blocks first to last is in memory.
func (a *archive) anyInMem(first, last int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b := first; b <= last; b++ {
		if a.mem[b] != nil {
			return true
		}
	}
	return false
}

// await looks for the first need bytes of block b in memory. If they are there, it
// returns the block, referenced. If the block is on disk, it returns neither.
// Otherwise it sees to it that a stream brings the block and returns a wait. It
// ends when the bytes are there or anything else happens to the block.
func (a *archive) await(b int, need int64) (*blockWait, *memBlock) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.mem[b]
	if e != nil && e.filled.Load() >= need {
		a.ref(e)
		return nil, e
	}
	state := a.is(b)
	if state == blockGood || state == blockWritten || state == blockClaimed {
		return nil, nil
	}
	w := &blockWait{need: need, ch: make(chan struct{}, 1)}
	a.waits[b] = append(a.waits[b], w)
	switch {
	case state == blockChecked:
	case e == nil:
		a.want(b)
	default:
		if need < e.need.Load() {
			e.need.Store(need)
		}
		// The stream may have passed need before it could see it.
		if e.filled.Load() >= need {
			w.wake()
		}
		a.poke()
	}
	return w, nil
}

// endWait removes the wait. It returns the block that the reader waited for,
// referenced, if it is there, or else the error that the wait was given.
func (a *archive) endWait(b int, w *blockWait) (*memBlock, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.waits[b], w); i >= 0 {
		a.waits[b] = slices.Delete(a.waits[b], i, i+1)
	}
	if len(a.waits[b]) == 0 {
		delete(a.waits, b)
	}
	// Take the reference under the same lock: a block that nobody waits for may be taken away.
	if e := a.mem[b]; e != nil && e.filled.Load() >= w.need {
		a.ref(e)
		return e, nil
	}
	return nil, w.err
}

// readFile fills p from the data file.
func (a *archive) readFile(p []byte, b, from int) error {
	f, err := a.open(false)
	if err != nil {
		return err
	}
	off := blockOffset(b) + int64(from)
	if _, err = f.ReadAt(p, off); err == nil {
		a.leaveBehind(f, off, int64(len(p)))
	}
	return err
}

// readUnsynced is readBlock for a block that was written but not synced. All of it
// has to be read for the check, so readUnsynced takes the whole block into memory if
// there is room.
func (a *archive) readUnsynced(p []byte, b, from int) (*memBlock, error) {
	buf := a.c.pool.try()
	if buf == nil {
		return nil, a.readChecked(p, b, from)
	}
	e := &memBlock{a: a, b: b, buf: buf, full: a.len(b), kept: true, saved: true, refs: 1}
	e.filled.Store(int64(e.full))
	if err := a.readChecked(buf[:e.full], b, 0); err != nil {
		a.c.pool.put(buf)
		return nil, err
	}
	a.mu.Lock()
	if old := a.mem[b]; old != nil || a.is(b) == blockAbsent {
		a.mu.Unlock()
		// Somebody else was first, or the block is being fetched again.
		copy(p, buf[from:])
		a.c.pool.put(buf)
		return nil, nil
	}
	a.mem[b] = e
	a.mu.Unlock()
	a.c.kick() // gives the block up when nobody reads any more
	return e, nil
}

// readChecked is readFile for a block that is not synced: it compares the whole block's
// sum. Linux may have failed to write the block's pages and forgotten them, and then
// the file has old bytes or zeros.
func (a *archive) readChecked(p []byte, b, from int) error {
	a.mu.Lock()
	sum := a.sums[b]
	a.mu.Unlock()
	f, err := a.open(false)
	if err != nil {
		return err
	}
	got, err := sumOf(f, blockOffset(b), int64(a.len(b)), func(off int, part []byte) {
		if lo, hi := max(off, from), min(off+len(part), from+len(p)); lo < hi {
			copy(p[lo-from:], part[lo-off:hi-off])
		}
	})
	if err == nil && got != sum {
		err = errSum
	}
	return err
}

// distrust marks all blocks to be checked again before use. A file in which one good
// block cannot be read may have lost others, which read as zeros.
func (a *archive) distrust() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b := range a.state {
		if a.is(b) == blockGood {
			a.set(b, blockClaimed)
		}
	}
}

// claimCheck makes the caller check block b, and reports true, if the block has to be
// checked and nobody else is doing so.
func (a *archive) claimCheck(b int) bool {
	if a.is(b) != blockClaimed {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.is(b) != blockClaimed {
		return false
	}
	a.set(b, blockChecked)
	return true
}

// check verifies block b, which claimCheck gave to the caller, and wakes all that
// wait for the result. It returns the reason if the block is not good.
func (a *archive) check(b int) error {
	err := a.verify(b)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.set(b, blockGood)
		a.wakeAll(b)
		return nil
	}
	// The block is still this goroutine's: nobody has read it and nobody writes it.
	a.giveBack(b)
	a.damaged(b, true, err)
	return err
}

// errSum means that a block on disk is not what was written.
var errSum = errors.New("the checksum differs")

// verify reads block b from the disk and compares its sum.
func (a *archive) verify(b int) error { return a.readChecked(nil, b, 0) }

// damaged withdraws the claim that block b is on disk, so it is fetched again.
// checked says that the caller has claimed its check and has freed its room.
// Otherwise the room stays until the block is written again, because others may be
// reading it.
func (a *archive) damaged(b int, checked bool, err error) {
	a.mu.Lock()
	if s := a.is(b); s == blockAbsent || s == blockChecked && !checked {
		a.mu.Unlock()
		return // known already, or about to be
	}
	buf := a.gone(b)
	if !checked {
		a.stuck[b] = true
	}
	a.mu.Unlock()
	if buf != nil {
		a.c.pool.put(buf)
	}
	if !a.goneWith(err) {
		a.log().Warn("damaged block in the cache; it is fetched again",
			"op", "read", "off", blockOffset(b), "len", a.len(b), "err", err)
	}
	a.c.note(a, 1)
}

// goodRange reports whether blocks first to last are good. If only a few are
// unchecked blocks of an earlier run, it checks them at once. Otherwise it has the
// archive checked in the background and reports false.
func (a *archive) goodRange(first, last int) bool {
	const few = 4
	claimed := 0
	for b := first; b <= last; b++ {
		switch a.is(b) {
		case blockAbsent, blockWritten:
			return false
		case blockGood:
		default:
			claimed++
		}
	}
	if claimed > few {
		a.c.checkLater(a)
		return false
	}
	for b := first; claimed > 0 && b <= last; b++ {
		if a.claimCheck(b) && a.check(b) != nil {
			return false
		}
		if a.is(b) != blockGood {
			return false
		}
	}
	return true
}
