package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

const (
	// streamLinger is how long a stream that is far enough ahead keeps its
	// connection.
	streamLinger = 15 * time.Second
	// abandonAfter is how long streams go on after the last reader has left. They
	// then have finishWithin to finish their current block.
	abandonAfter = time.Second
	finishWithin = 10 * time.Second
	// streamAttempts is how often a stream is opened again without receiving a single
	// byte. streamBackoff is the first wait in between.
	streamAttempts = 5
	streamBackoff  = 100 * time.Millisecond
	// storeAhead is how many filled blocks of a stream may wait to be written while
	// it goes on receiving.
	storeAhead = 4
)

// stream fetches consecutive blocks of an archive. No other stream fetches the blocks
// [next, end).
type stream struct {
	a      *archive
	ctx    context.Context
	cancel context.CancelFunc
	// background is set for a stream that fetches everything it is given and gives
	// way to readers. Once such a stream serves a reader, it becomes an ordinary one.
	background atomic.Bool

	// Guarded by a.mu.
	next   int  // the block to be fetched next
	end    int  // shrinks when another stream takes over
	must   bool // fetch all of it as long as the archive is open
	paused time.Time
	bell   chan struct{}

	// The stream's own.
	body io.ReadCloser
	err  error // why a background stream ended early
}

// start opens a stream for [b, end); a.mu is held.
func (a *archive) start(b, end int, must bool) {
	s := a.newStream(a.c.ctx, b, end)
	s.must = must
	if !a.c.spawn(s.run) {
		delete(a.streams, s)
		s.cancel()
		return
	}
	a.count(1)
}

// newStream registers a stream for [b, end); a.mu is held.
func (a *archive) newStream(ctx context.Context, b, end int) *stream {
	s := &stream{a: a, next: b, end: end, bell: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	a.streams[s] = struct{}{}
	return s
}

// count adds d to the number of streams for readers. a.mu is held.
func (a *archive) count(d int) {
	before := a.serving
	a.serving += d
	a.c.lanes.count(d, min(a.serving, 1)-min(before, 1))
}

// poke makes a waiting stream check again.
func (s *stream) poke() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// run fetches until everything is there, nobody wants more, or the source gives up.
func (s *stream) run() {
	a := s.a
	a.c.retain(a)
	defer a.c.release(a)
	defer s.cancel()
	var e *memBlock
	var storing sync.WaitGroup
	full := make(chan filled, storeAhead)
	var storeErr error
	storing.Go(func() {
		for f := range full {
			if storeErr == nil {
				storeErr = s.protect(func() error { s.store(f.e, f.sum); return nil })
			}
			if storeErr != nil {
				s.cancel()
			}
		}
	})
	err := s.protect(func() error {
		defer s.closeBody()
		for {
			if e = s.claim(); e == nil {
				return nil
			}
			sum, err := s.fill(e)
			if err != nil {
				return err
			}
			full <- filled{e, sum}
		}
	})
	close(full)
	storing.Wait()
	if storeErr != nil {
		a.log().Error("blocks cannot be stored", "op", "store", "err", storeErr)
	}
	s.finish(e, err)
}

// filled is a block to be stored, and its sum.
type filled struct {
	e   *memBlock
	sum uint32
}

// protect turns a panic in f into an error. f runs the source's code.
func (s *stream) protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("stream panicked: %v: %w", r, download.ErrProtocol)
		}
	}()
	return f()
}

// finish removes the stream. Waiters for its blocks get err, or check again if err is
// nil.
func (s *stream) finish(e *memBlock, err error) {
	a := s.a
	stopped := s.ctx.Err() != nil
	if err != nil && !stopped {
		err = sourceError(err)
		a.log().Debug("stream ended", "op", "stream", "off", blockOffset(s.next), "err", err)
	} else {
		err = nil
	}
	s.err = err
	a.mu.Lock()
	from := s.next
	var buf []byte
	if e != nil && !e.kept && a.mem[e.b] == e {
		from = e.b
		buf = a.discard(e)
	}
	delete(a.streams, s)
	if !s.background.Load() {
		a.count(-1)
	}
	for b, ws := range a.waits {
		if b < from || b >= max(s.end, from+1) {
			continue
		}
		for _, w := range ws {
			// A background stream fails nobody. The readers that wait open their own streams.
			if err != nil && !s.background.Load() {
				w.err = err
			}
			w.wake()
		}
	}
	if err == nil {
		for _, cur := range a.cursors {
			a.ahead(cur)
		}
	}
	a.mu.Unlock()
	if buf != nil {
		a.c.pool.put(buf)
	}
}

// claim waits until the stream's next block is wanted and makes a memBlock for it.
// It returns nil when the stream has nothing more to do.
func (s *stream) claim() *memBlock {
	a := s.a
	var buf []byte
	defer func() {
		if buf != nil {
			a.c.pool.put(buf)
		}
	}()
	resuming := false
	for {
		a.mu.Lock()
		if s.next >= s.end || s.ctx.Err() != nil || s.background.Load() && a.noRoom {
			a.mu.Unlock()
			return nil
		}
		wanted, urgent := a.wanted(s, resuming), a.urgent(s)
		if wanted && buf != nil {
			e := &memBlock{a: a, b: s.next, buf: buf, full: a.len(s.next)}
			buf = nil
			a.mem[e.b] = e
			e.need.Store(a.wake(e.b, 0))
			s.next++
			s.paused = time.Time{}
			if s.next == s.end {
				// Open its successor while it ends.
				for _, cur := range a.cursors {
					a.ahead(cur)
				}
			}
			a.mu.Unlock()
			return e
		}
		if !wanted && s.paused.IsZero() {
			s.paused = time.Now()
		}
		a.mu.Unlock()

		switch {
		case wanted && urgent:
			var err error
			if buf, err = a.c.pool.get(s.ctx); err != nil {
				return nil
			}
		case wanted:
			if buf = a.c.pool.try(); buf == nil {
				s.rest()
			}
		default:
			if buf != nil {
				a.c.pool.put(buf)
				buf = nil
			}
			resuming = true
			if s.background.Load() && time.Since(s.paused) > streamLinger {
				s.closeBody()
			}
			if !s.background.Load() {
				a.c.lanes.pause()
			}
			s.rest()
		}
	}
}

// rest waits until the stream is poked. A background stream also wakes up by itself,
// because nobody pokes it when the readers have gone.
func (s *stream) rest() {
	var tick <-chan time.Time
	if s.background.Load() {
		t := time.NewTimer(yieldFor / 4)
		defer t.Stop()
		tick = t.C
	}
	s.a.c.kick()
	select {
	case <-s.bell:
	case <-tick:
	case <-s.ctx.Done():
	}
}

// fill fetches block e and returns its sum. If the stream breaks, fill opens it again
// at the byte that it reached.
func (s *stream) fill(e *memBlock) (uint32, error) {
	a := s.a
	var sum uint32
	attempt := 0
	began, whole := time.Now(), s.body != nil
	defer func() {
		e.arrived = time.Since(began)
		if whole && e.full == BlockSize && e.filled.Load() == BlockSize {
			a.c.skips.received(e.full, e.arrived)
		}
	}()
	for filled := 0; filled < e.full; {
		if s.body == nil {
			if err := s.open(e, filled); err != nil {
				if final(err) {
					return 0, err
				}
				if err = s.retry(err, &attempt); err != nil {
					return 0, err
				}
				continue
			}
		}
		asked := time.Now()
		n, err := s.body.Read(e.buf[filled:e.full])
		if n < 0 || n > e.full-filled {
			return 0, fmt.Errorf("source read %d of %d bytes: %w", n, e.full-filled, download.ErrProtocol)
		}
		if n > 0 {
			a.c.lanes.note(n, time.Since(asked), a.c.waiting.Load() > 0, s)
			sum = crc32.Update(sum, castagnoli, e.buf[filled:filled+n])
			filled += n
			attempt = 0
			e.advance(n)
		}
		if err != nil {
			s.closeBody()
			if filled == e.full {
				break
			}
			whole = false
			if errors.Is(err, download.ErrChanged) {
				a.giveUp()
				return 0, err
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			if err = s.retry(err, &attempt); err != nil {
				return 0, err
			}
		}
	}
	return sum, nil
}

// open opens the source at byte filled of block e.
func (s *stream) open(e *memBlock, filled int) error {
	a := s.a
	a.mu.Lock()
	last := max(s.end, e.b+1) - 1
	a.mu.Unlock()
	off, end := blockOffset(e.b)+int64(filled), blockOffset(last)+int64(a.len(last))
	a.log().Debug("stream", "op", "stream", "off", off, "len", end-off)
	sample := a.c.skips.opening(off)
	body, err := a.c.source.Stream(s.ctx, a.info, off, end)
	a.c.skips.opened(sample, err)
	if err != nil {
		return err
	}
	s.body = body
	return nil
}

func (s *stream) closeBody() {
	if s.body != nil {
		// What it delivered has been checked, so its end does not matter.
		_ = s.body.Close()
		s.body = nil
	}
}

// retry waits before the stream is opened again. It returns err when opening again
// makes no sense. Any byte that arrives resets the attempts. The reason why a stream
// broke says little about the next one.
func (s *stream) retry(err error, attempt *int) error {
	if s.ctx.Err() != nil || errors.Is(err, download.ErrChanged) {
		return err
	}
	*attempt++
	if *attempt > streamAttempts || (s.background.Load() && *attempt > 1) {
		return err
	}
	s.a.log().Debug("stream broke; going on from there", "op", "stream", "err", err)
	if *attempt == 1 {
		return nil
	}
	t := time.NewTimer(streamBackoff << (*attempt - 2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return err
	}
}

// final reports whether asking the source for a stream again would only give the same
// error.
func final(err error) bool {
	for _, f := range []error{
		download.ErrNotFound, download.ErrExpired, download.ErrChanged, download.ErrForbidden, download.ErrUnauthorized,
		download.ErrInvalid, download.ErrArchived, download.ErrConflict, download.ErrProtocol, download.ErrUnavailable, download.ErrCancelled, download.ErrClosed,
	} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// sourceError turns the source's error into one for readers. An archive that was
// there and is no longer known has been deleted. A connection that keeps breaking
// means that the server is unreachable.
func sourceError(err error) error {
	switch {
	case errors.Is(err, download.ErrNotFound):
		return fmt.Errorf("%w (%v)", download.ErrExpired, err)
	case final(err):
		return err
	}
	return fmt.Errorf("%w: %w", download.ErrUnavailable, err)
}

// store writes the filled block e to disk. If it cannot, it keeps the block in
// memory.
func (s *stream) store(e *memBlock, sum uint32) {
	a := s.a
	a.mu.Lock()
	keep, losses := a.soon(e.b), a.losses
	a.mu.Unlock()
	written := a.toDisk() && a.write(e, keep)
	a.mu.Lock()
	if written && a.losses != losses {
		// A sync failed meanwhile, and its error may be about this write.
		a.mu.Unlock()
		a.giveBack(e.b)
		a.mu.Lock()
		written = false
	}
	a.noRoom = !written
	var buf []byte
	if written {
		a.sums[e.b] = sum
		a.pending[e.b] = true
		a.set(e.b, blockWritten)
		a.c.hold(a)
	}
	if written && !keep {
		buf = a.discard(e)
	} else {
		e.kept, e.saved = true, written
		if e.refs == 0 {
			a.c.pool.keep(e)
		}
	}
	// Waiters that came late find the block now.
	a.wake(e.b, math.MaxInt64)
	if a.c.lanes.changed() {
		for _, cur := range a.cursors {
			a.ahead(cur)
		}
	}
	a.mu.Unlock()
	if buf != nil {
		a.c.pool.put(buf)
	}
	if written {
		a.c.note(a, 1)
		if a.n >= flushBlocks && a.complete() {
			a.c.hurry() // the next open may get the file itself
		}
	}
	if buf == nil {
		a.c.pool.serve()
	}
}

// writeChunk is how much is written at once. A kernel with large folios takes page
// cache memory in pieces of the size of the write. Pieces of 1 MiB are expensive
// where free memory has been given back to a hypervisor: measured, 1.1 s of processor
// time per GiB against 0.2 s.
const writeChunk = 256 << 10

func writeAt(f *os.File, p []byte, off int64) error {
	for len(p) > 0 {
		n := min(len(p), writeChunk)
		if _, err := f.WriteAt(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// write writes e to the data file and reports whether it could. If past is set, it
// writes past the page cache where that works: readers then get the block from
// memory.
func (a *archive) write(e *memBlock, past bool) bool {
	if !a.reserveBlock(e.b) {
		return false
	}
	f, err := a.open(true)
	if err == nil {
		if past && a.writeDirect(e) {
			return true
		}
		if err = writeAt(f, e.buf[:e.full], blockOffset(e.b)); err == nil {
			return true
		}
		a.giveBack(e.b) // frees what was written of it
	} else {
		a.c.unreserve(a, int64(e.full))
	}
	if !a.goneWith(err) {
		a.c.diskFailed(err)
	}
	return false
}
