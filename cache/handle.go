package cache

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

// handle is an open archive.
type handle struct {
	a      *archive
	closed atomic.Bool
}

var (
	_ download.Archive = (*handle)(nil)
	_ download.Lender  = (*handle)(nil)
)

// ReadAt implements [download.Archive].
func (h *handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	a := h.a
	if h.closed.Load() {
		return 0, fmt.Errorf("read %s: %w", a.info.ID, os.ErrClosed)
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: %w", a.info.ID, off, download.ErrInvalid)
	}
	if off >= a.info.Size {
		return 0, io.EOF
	}
	short := false
	if rest := a.info.Size - off; int64(len(p)) > rest {
		p, short = p[:rest], true
	}
	n, err := a.readAt(ctx, p, off)
	if err != nil {
		return n, fmt.Errorf("read %s at %d: %w", a.info.ID, off+int64(n), err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// File implements [download.Archive]. It checks a few blocks of an earlier run at
// once. For a long range that is not checked yet, it returns false and has the
// archive checked in the background. A later call can then return true.
func (h *handle) File(off, n int64) (*os.File, bool) {
	a := h.a
	if h.closed.Load() || a.wrong.Load() || off < 0 || n < 0 || off > a.info.Size || a.state == nil {
		return nil, false
	}
	n = min(n, a.info.Size-off)
	if n == 0 {
		return nil, false
	}
	if a.good.Load() != int64(a.n) && !a.goodRange(blockOf(off), blockOf(off+n-1)) {
		return nil, false
	}
	// Blocks in memory are not read from the disk, except for a whole archive.
	if n < a.info.Size && a.anyInMem(blockOf(off), blockOf(off+n-1)) {
		return nil, false
	}
	f, err := a.open(false)
	if err != nil {
		return nil, false
	}
	a.noteRead(off, n)
	if n < a.info.Size || n <= BlockSize { // not an open of the whole archive
		a.c.traffic.answered(blockOf(off+n-1)-blockOf(off)+1, false)
		a.leaveBehind(f, off, n)
	}
	return f, true
}

// Close implements [download.Archive].
func (h *handle) Close() error {
	if h.closed.Swap(true) {
		return fmt.Errorf("close %s: %w", h.a.info.ID, os.ErrClosed)
	}
	h.a.leave()
	h.a.c.release(h.a)
	return nil
}

// enter counts a handle.
func (a *archive) enter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handles++
}

// leave ends enter. When the last handle has left, reading ahead stops at the end of
// the current block.
func (a *archive) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handles--
	if a.handles > 0 {
		return
	}
	a.idle = time.Now()
	a.cursors = nil
	a.c.kick()
}
