package cache

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directAlign is the alignment that O_DIRECT requires of memory, offsets and lengths.
// No disk has larger sectors.
const directAlign = 4096

// directPause is how long blocks go through the page cache after the disk was too
// slow.
const directPause = 5 * time.Second

// direct decides whether blocks are written past the page cache. A block that its
// reader gets from memory is not needed there: fetched once and read once, it would
// take new memory twice, in the page cache of the data file and in the mount's. New
// memory costs the most. But a direct write takes as long as the disk does. Readers
// find all other blocks in the page cache.
type direct struct {
	never atomic.Bool  // the file system cannot do it
	until atomic.Int64 // no direct write before this time, UnixNano
	held  atomic.Int64 // how much readers had to wait for the disk lately
}

// heldUp is how many waits for the disk, in about as many blocks, make the disk count
// as too slow. On a busy machine a few waits are normal.
const heldUp = 6

// passed notes that a stream handed over a block to be written. held says whether the
// disk held up the stream and a reader with it.
func (d *direct) passed(held bool) {
	switch {
	case !held:
		if n := d.held.Load(); n > 0 {
			d.held.CompareAndSwap(n, n-1)
		}
	case d.held.Add(2) >= 2*heldUp:
		d.held.Store(0)
		d.until.Store(time.Now().Add(directPause).UnixNano())
	}
}

func (d *direct) wanted() bool {
	return canDirect && !d.never.Load() && time.Now().UnixNano() >= d.until.Load()
}

// writeDirect writes e past the page cache, and reports whether it did.
func (a *archive) writeDirect(e *entry) bool {
	d := &a.c.direct
	if e.full != BlockSize || uintptr(unsafe.Pointer(&e.buf[0]))%directAlign != 0 || !d.wanted() {
		return false
	}
	f, err := a.openDirect()
	if err == nil {
		_, err = f.WriteAt(e.buf[:e.full], blockOffset(e.b))
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
