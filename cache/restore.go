package cache

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// restore opens the index and takes over what an earlier run left. It fails only if
// the directory cannot be written.
func (c *Cache) restore() error {
	records, err := c.openIndex()
	if err != nil {
		return err
	}
	names, err := os.ReadDir(c.disk.files())
	if err != nil {
		return err
	}
	strays := 0
	for _, entry := range names {
		rec := records[entry.Name()]
		delete(records, entry.Name())
		if rec != nil && belongs(rec.name, rec.meta.info.ID) && c.adopt(rec, entry) {
			continue
		}
		strays++
		if rec != nil {
			c.keeper.forget(rec.name)
		}
		if err := os.RemoveAll(c.disk.path(entry.Name())); err != nil {
			return err
		}
	}
	if strays > 0 {
		c.log.Info("removed data files that the cache index does not know", "op", "open", "len", strays)
	}
	for name, rec := range records {
		c.log.Info("data file is missing from the cache", "op", "open", "download", rec.meta.info.ID)
		c.keeper.forget(name)
	}
	c.indexSize.Store(c.keeper.idx.size())
	c.shrink()
	if err := c.flush(); err != nil {
		return err
	}
	return nil
}

// openIndex opens the index and reads it. It replaces an unusable index with an empty
// one and logs a warning: everything that the index knew can be fetched again.
func (c *Cache) openIndex() (map[string]*record, error) {
	idx, records, err := loadIndex(c.disk.index(), c)
	if err == nil {
		c.keeper.idx = idx
		return records, nil
	}
	if _, serr := os.Stat(c.disk.index()); serr != nil {
		return nil, err // it cannot even be made
	}
	c.log.Warn("the cache index is damaged; starting with an empty cache", "op", "open", "dir", c.cfg.Dir, "err", err)
	if err := os.RemoveAll(c.disk.index()); err != nil {
		return nil, err
	}
	idx, records, err = loadIndex(c.disk.index(), c)
	if err != nil {
		return nil, err
	}
	c.keeper.idx = idx
	return records, nil
}

func loadIndex(path string, c *Cache) (*index, map[string]*record, error) {
	idx, err := openIndex(path)
	if err != nil {
		return nil, nil, err
	}
	records, err := idx.load(c.log)
	if err != nil {
		idx.close()
		return nil, nil, err
	}
	return idx, records, nil
}

// adopt takes over a data file with its record and reports whether it could.
func (c *Cache) adopt(rec *record, entry fs.DirEntry) bool {
	fi, err := entry.Info()
	if err != nil || !fi.Mode().IsRegular() {
		return false
	}
	a := newArchive(c, rec.meta.info, rec.name)
	a.used = rec.meta.used
	if old := c.archives[a.info.ID]; old != nil {
		// A crash came after the new data file, before the old one was forgotten.
		if !a.used.After(old.used) {
			return false
		}
		c.unlink(old)
		c.discard(old)
	}
	for num, ch := range rec.chunks {
		for i := range ch.top() {
			b := int(num)*chunkBlocks + i
			if !ch.has(i) {
				continue
			}
			if blockOffset(b)+int64(a.len(b)) > fi.Size() {
				continue // a read would find it missing; we know it now
			}
			a.sums[b] = ch.sums[i]
			a.set(b, blockClaimed)
		}
	}
	if fi.Size() != a.info.Size {
		c.log.Warn("data file in the cache has another size than the archive", "op", "open", "download", a.info.ID, "len", fi.Size())
		if err := os.Truncate(c.disk.path(a.name), a.info.Size); err != nil {
			return false
		}
	}
	if allocated(fi) > roundUp(a.onDisk.Load())+fileRoom(a.info.Size) && c.punchUnclaimed(a) != nil {
		return false
	}
	for b := range a.n {
		if a.is(b) != blockAbsent {
			a.charged += roundUp(int64(a.len(b)))
		}
	}
	if a.charged > 0 {
		a.charged += fileRoom(a.info.Size)
	}
	c.used += a.charged
	c.archives[a.info.ID] = a
	return true
}

// punchUnclaimed frees the room of blocks that were written but not claimed, because
// the run that wrote them was killed.
func (c *Cache) punchUnclaimed(a *archive) error {
	f, err := c.disk.open(a.name)
	if err != nil {
		return err
	}
	defer f.Close()
	for b := 0; b < a.n; {
		end := b
		for end < a.n && a.is(end) == blockAbsent {
			end++
		}
		if end > b {
			off := blockOffset(b)
			n := min(blockOffset(end), a.info.Size) - off
			if err := punch(f, off, n); err != nil {
				return fmt.Errorf("punch %s: %w", a.info.ID, err)
			}
		}
		b = end + 1
	}
	return nil
}

// allocated returns how much room a file takes on the disk.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return fi.Size()
}

// shrink evicts archives until the rest fits the limit, which may be lower than in
// the last run.
func (c *Cache) shrink() {
	for c.used+c.indexSize.Load()+overhead > c.cfg.Size {
		old, _ := c.oldest()
		if old == nil {
			return
		}
		c.unlink(old)
		c.evict(old)
	}
}

// checkLater checks the blocks that an earlier run left in a. It works in the
// background, on one archive at a time.
func (c *Cache) checkLater(a *archive) {
	if !c.checking.CompareAndSwap(false, true) {
		return
	}
	c.retain(a)
	ok := c.spawn(func() {
		defer c.checking.Store(false)
		defer c.release(a)
		for b := 0; b < a.n && c.ctx.Err() == nil && !a.dropped.Load(); b++ {
			if a.claimCheck(b) {
				// The log and the block's state have the result.
				_ = a.check(b)
			}
		}
	})
	if !ok {
		c.checking.Store(false)
		c.release(a)
	}
}
