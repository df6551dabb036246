package cache

import (
	"errors"
	"os"
	"time"

	"downloadfs/download"

	"golang.org/x/sys/unix"
)

const (
	// overhead is the room kept for the directory's small files, and for the index's
	// growth between two looks at its size.
	overhead = 128 << 10
	// fileOverhead is charged for every data file, and again for every extentBlocks
	// of its blocks. It covers the inode and extents. ext4 has room for 340 extents
	// in 4 KiB, and at worst each block is one.
	fileOverhead = 4 << 10
	extentBlocks = 256
	// plenty is how much must be free beyond MinFree for the disk to be looked at
	// only once every freeFor. Others write less than that in that time.
	plenty  = 1 << 30
	freeFor = 250 * time.Millisecond
	// diskPause is how long nothing is written after the disk refused a write.
	diskPause = 10 * time.Second
)

// Usage implements [download.Archives].
func (c *Cache) Usage() download.Usage {
	if c.disk == nil {
		return download.Usage{}
	}
	free, err := c.disk.free()
	if err != nil {
		free = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := download.Usage{Limit: c.cfg.Size, Used: c.used + c.indexSize.Load()}
	u.Free = max(0, min(c.cfg.Size-overhead-u.Used, free-c.cfg.MinFree))
	return u
}

// roundUp rounds n up to a multiple of 4 KiB, the unit of a file system.
func roundUp(n int64) int64 { return (n + 4095) &^ 4095 }

// fits reports whether an archive of size bytes could be kept whole if the cache were
// empty. c.mu need not be held.
func (c *Cache) fits(size int64) bool {
	return roundUp(size)+fileRoom(size)+overhead+c.indexSize.Load() <= c.cfg.Size
}

// fileRoom returns the room that the data file of an archive of size bytes takes
// besides its blocks.
func fileRoom(size int64) int64 { return fileOverhead * int64(1+blockCount(size)/extentBlocks) }

// reserve sets room aside for n bytes of a block of a. For an archive that fits
// whole, it evicts others as far as necessary. It reports whether there is room.
// Nothing may be written without it.
func (c *Cache) reserve(a *archive, n int64) bool {
	if c.disk == nil || time.Now().UnixNano() < c.diskPaused.Load() {
		return false
	}
	if got, _ := c.tryReserve(a, n); got {
		return true
	}
	// Only one goroutine makes room at a time. What another is removing counts as
	// used until it is gone, and cannot be removed again.
	c.evicting.Lock()
	defer c.evicting.Unlock()
	for {
		got, victim := c.tryReserve(a, n)
		if victim == nil {
			return got
		}
		c.mu.Lock()
		idle := victim.refs == victim.held && c.archives[victim.info.ID] == victim
		if idle {
			c.unlink(victim)
		}
		c.mu.Unlock()
		if idle {
			c.evict(victim)
		}
	}
}

// tryReserve sets room aside if there is any. If not, it returns the archive to evict
// next, or nil if evicting would not help.
func (c *Cache) tryReserve(a *archive, n int64) (got bool, victim *archive) {
	free, err := c.freeSpace()
	if err != nil {
		c.diskFailed(err)
		return false, nil
	}
	n = roundUp(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.charged == 0 {
		n += fileRoom(a.info.Size)
	}
	taken := c.used + n + c.indexSize.Load() + overhead
	if taken <= c.cfg.Size && free-n >= c.cfg.MinFree {
		c.used += n
		a.charged += n
		c.free.left -= n
		return true, nil
	}
	victim, room := c.oldest()
	if !c.fits(a.info.Size) || taken-room > c.cfg.Size || free+room-n < c.cfg.MinFree {
		return false, nil
	}
	return false, victim
}

// giveBack frees the room of block b on the disk, whose bytes are of no use any more.
// If it cannot, the room stays charged until b is written again or the archive goes.
// No other goroutine may write to or read b's room meanwhile.
func (a *archive) giveBack(b int) {
	err := os.ErrNotExist
	if f := a.file.Load(); f != nil {
		err = punch(f, blockOffset(b), int64(a.len(b)))
	}
	if err != nil {
		a.log().Debug("block not freed; it still takes room", "op", "punch", "off", blockOffset(b), "err", err)
		a.mu.Lock()
		a.stuck[b] = true
		a.mu.Unlock()
		return
	}
	a.c.unreserve(a, int64(a.len(b)))
}

// reserveBlock sets room aside for block b, unless b still has its room.
func (a *archive) reserveBlock(b int) bool {
	a.mu.Lock()
	kept := a.stuck[b]
	delete(a.stuck, b)
	a.mu.Unlock()
	return kept || a.c.reserve(a, int64(a.len(b)))
}

// freeSpace returns how much is free on the disk. If that is much more than MinFree,
// it uses the last figure less what was reserved since, if that figure is recent. A
// block then need not cost a look at the disk.
func (c *Cache) freeSpace() (int64, error) {
	c.mu.Lock()
	left, seen := c.free.left, c.free.seen
	c.mu.Unlock()
	if left-c.cfg.MinFree > plenty && time.Since(seen) < freeFor {
		return left, nil
	}
	left, err := c.disk.free()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free.left, c.free.seen = left, time.Now()
	return left, nil
}

// unreserve releases room that reserve set aside.
func (c *Cache) unreserve(a *archive, n int64) {
	n = roundUp(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, a.charged)
	a.charged -= n
	c.used -= n
}

// oldest returns the least recently used archive that nobody uses and that takes
// room, or nil if there is none. It also returns the room of all such archives. c.mu
// is held.
func (c *Cache) oldest() (old *archive, room int64) {
	for _, a := range c.archives {
		if a.refs > a.held || a.charged == 0 {
			continue
		}
		room += a.charged
		if old == nil || a.used.Before(old.used) {
			old = a
		}
	}
	return old, room
}

// evict removes an unlinked archive, which nobody reads, to make room. It empties the
// file first: that frees the room even while the keeper syncs it.
func (c *Cache) evict(a *archive) {
	c.traffic.evictions.Add(1)
	a.log().Info("evicting an archive to make room", "op", "evict", "state", "evicted", "len", a.onDisk.Load())
	err := c.disk.empty(a.name)
	if err == nil {
		c.mu.Lock()
		c.used -= a.charged
		a.charged = 0
		c.mu.Unlock()
	}
	if derr := c.discard(a); derr != nil {
		err = derr
	}
	if err != nil {
		a.log().Warn("data file not removed; it still takes room", "op", "evict", "err", err)
	}
}

// diskFailed notes that the disk refused a write, and leaves the disk alone for a
// while.
func (c *Cache) diskFailed(err error) {
	now := time.Now()
	if until := c.diskPaused.Swap(now.Add(diskPause).UnixNano()); until > now.UnixNano() {
		return // others have failed in the same way
	}
	msg := "the cache cannot be written; archives are read straight from the server"
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		msg = "the cache's disk is full; archives are read straight from the server"
	}
	c.log.Warn(msg, "op", "write", "dir", c.cfg.Dir, "err", err)
}
