package cache

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directAlign is the alignment that O_DIRECT requires of memory, offsets and lengths.
// No disk has larger sectors.
const directAlign = 4096

// directPause is how long blocks go through the page cache after the disk was too
// slow. It is longer than most archives take: the first direct write afterwards must
// wait for all that the page cache still has to write.
const directPause = 10 * time.Minute

// direct decides whether blocks are written past the page cache. A block that its
// reader gets from memory is not needed there: fetched once and read once, it would
// take new memory twice, in the page cache of the data file and in the mount's. New
// memory costs the most. But a direct write takes as long as the disk does. Readers
// find all other blocks in the page cache.
type direct struct {
	never atomic.Bool // the file system cannot do it

	mu    sync.Mutex // guards what follows
	until time.Time  // no direct write before this time
	held  int        // how often readers had to wait for the disk lately
}

const (
	// heldUp is how many slow writes, in about as many blocks, make the disk count as
	// too slow. On a busy machine a few are normal.
	heldUp = 6
	// slowWrite is the least that a slow write of a block takes: 125 MB/s.
	slowWrite = 8 * time.Millisecond
)

// wrote notes that a direct write of a block took so long. arrived is how long the
// source took to deliver the block, and waits says whether a reader waits now.
func (d *direct) wrote(took, arrived time.Duration, waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if took < slowWrite || took < arrived || !waits {
		d.held = max(d.held-1, 0)
		return
	}
	if d.held += 2; d.held >= 2*heldUp {
		d.held = 0
		d.until = time.Now().Add(directPause)
	}
}

func (d *direct) wanted() bool {
	if !canDirect || d.never.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !time.Now().Before(d.until)
}

// writeDirect writes e past the page cache, and reports whether it did.
func (a *archive) writeDirect(e *memBlock) bool {
	d := &a.c.direct
	if e.full != BlockSize || uintptr(unsafe.Pointer(&e.buf[0]))%directAlign != 0 || !d.wanted() {
		return false
	}
	f, err := a.openDirect()
	if err == nil {
		began := time.Now()
		_, err = f.WriteAt(e.buf[:e.full], blockOffset(e.b))
		d.wrote(time.Since(began), e.arrived, a.c.waiting.Load() > 0)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		d.never.Store(true)
		a.log().Debug("the cache's disk cannot be written to past the page cache", "op", "write", "err", err)
	}
	// An ordinary write reports any other error.
	return err == nil
}

// openDirect returns the data file for writeDirect, and opens it the first time. The
// caller holds a reference, and the file exists.
func (a *archive) openDirect() (*os.File, error) {
	if f := a.direct.Load(); f != nil {
		return f, nil
	}
	a.openMu.Lock()
	defer a.openMu.Unlock()
	if f := a.direct.Load(); f != nil {
		return f, nil
	}
	f, err := a.c.disk.openDirect(a.name)
	if err != nil {
		return nil, err
	}
	a.direct.Store(f)
	return f, nil
}
