package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"downloadfs/download"
)

// Info describes one archive in the cache.
type Info struct {
	download.ArchiveInfo
	// Cached is how many of the archive's bytes are on disk.
	Cached int64
	// UsedAt is when a reader last opened it, or when it was first fetched.
	UsedAt time.Time
}

// Complete reports whether the whole archive is on disk.
func (i Info) Complete() bool { return i.Cached == i.Size }

// List returns the archives in the cache, the least recently used first. This is the
// order of eviction.
func (c *Cache) List() ([]Info, error) {
	if c.disk == nil {
		return nil, fmt.Errorf("list cache %s: %w", c.cfg.Dir, c.unusable)
	}
	c.mu.Lock()
	infos := make([]Info, 0, len(c.archives))
	for _, a := range c.archives {
		if n := a.onDisk.Load(); n > 0 {
			infos = append(infos, Info{ArchiveInfo: a.info, Cached: n, UsedAt: a.used})
		}
	}
	c.mu.Unlock()
	sortInfos(infos)
	return infos, nil
}

func sortInfos(infos []Info) {
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(a.UsedAt.Compare(b.UsedAt), cmp.Compare(a.ID, b.ID))
	})
}

// Result is what Verify found.
type Result struct {
	Archives int
	Blocks   int   // blocks read
	Bytes    int64 // bytes in these blocks
	Damaged  []Damage
}

// Damage is a block whose bytes are not those that were written. It has been dropped
// and is fetched again when it is needed.
type Damage struct {
	ID  download.ID
	Off int64
	Len int64
	Err error
}

// Verify reads every block in the cache and compares it with its checksum. If ctx
// ends, it returns early with what it has found so far.
func (c *Cache) Verify(ctx context.Context) (Result, error) {
	var res Result
	if c.disk == nil {
		return res, fmt.Errorf("verify cache %s: %w", c.cfg.Dir, c.unusable)
	}
	c.mu.Lock()
	var all []*archive
	for _, a := range c.archives {
		if a.onDisk.Load() > 0 {
			c.acquire(a)
			all = append(all, a)
		}
	}
	c.mu.Unlock()
	defer func() {
		for _, a := range all {
			c.release(a)
		}
	}()
	slices.SortFunc(all, func(a, b *archive) int { return cmp.Compare(a.info.ID, b.info.ID) })
	for _, a := range all {
		res.Archives++
		for b := range a.n {
			if err := ctx.Err(); err != nil {
				return res, err
			}
			state := a.is(b)
			if state == blockAbsent {
				continue
			}
			res.Blocks++
			res.Bytes += int64(a.len(b))
			if err := a.recheck(b); err != nil {
				res.Damaged = append(res.Damaged, Damage{ID: a.info.ID, Off: blockOffset(b), Len: int64(a.len(b)), Err: err})
			}
		}
	}
	return res, nil
}

// recheck verifies block b even if it has been verified before.
func (a *archive) recheck(b int) error {
	if a.claimCheck(b) {
		return a.check(b)
	}
	err := a.verify(b)
	if err != nil {
		a.damaged(b, false, err)
	}
	return err
}

// Clear drops every archive.
func (c *Cache) Clear() error {
	if c.disk == nil {
		return fmt.Errorf("clear cache %s: %w", c.cfg.Dir, c.unusable)
	}
	c.mu.Lock()
	ids := make([]download.ID, 0, len(c.archives))
	for id := range c.archives {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, c.Drop(id))
	}
	return errors.Join(errs...)
}
