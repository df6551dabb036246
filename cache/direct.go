package cache

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directAlign is what O_DIRECT wants memory, offsets and lengths to be multiples of;
// no disk's sectors are larger.
const directAlign = 4096

// directPause is for how long blocks are written through the page cache after the
// disk could not keep up.
const directPause = 5 * time.Second

// direct decides whether blocks are written past the page cache. A block that its
// reader gets from memory need not be there as well: what is fetched once and read
// once would otherwise take new memory twice, in the page cache of the data file
// and in that of the mount, and new memory is what costs most. But such a write
// lasts as long as the disk takes.
type direct struct {
	never atomic.Bool  // the file system cannot do it
	until atomic.Int64 // not before, UnixNano
	held  atomic.Int64 // how much readers had to wait for the disk lately
}

// heldUp is how often, of about as many blocks, readers may have to wait for the
// disk before it counts as too slow: on a busy machine it happens now and then.
const heldUp = 6

// passed notes that a stream handed a block over to be written, and whether the disk
// held it up, and with it a reader.
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
	// What else may be wrong an ordinary write will tell.
	return err == nil
}

// openDirect opens the data file for writeDirect, the first time. The caller holds
// a reference, and the file is there.
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
