package fs

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// contents is the tree of what is inside one download's archive. It is made when a
// caller looks into it, and only the archive's directory is read for it.
//
// The tree's inodes are made of node numbers, which are the same whenever the index
// is read. So an index that has not been used for a while is dropped. It is read
// again from the cache when it is needed.
type contents struct {
	fs      *filesystem
	item    item
	version uint64        // of the archive, see versions
	turn    chan struct{} // held by the caller that reads the index

	mu      sync.Mutex // guards what follows
	index   *zipfile.Index
	entries int   // how many the archive has; -1 while not known
	failed  error // why there never will be an index

	archive download.Archive // open while there are users, and a moment longer
	users   int
	expiry  *time.Timer
	removed bool
}

// archiveLinger is how long an archive stays open without users. A program that
// copies a tree opens one file after the other, and read-ahead ends when the archive
// is closed.
const archiveLinger = 3 * time.Second

// archiveBytes reads an archive for package zipfile.
type archiveBytes struct{ download.Archive }

var _ zipfile.Source = archiveBytes{}

// Expect implements [zipfile.Source].
func (b archiveBytes) Expect(off, n int64) { download.Expect(b.Archive, off, n) }

// open returns the archive and keeps it open until the caller calls close. It does
// not wait.
func (c *contents) open() (download.Archive, error) {
	c.mu.Lock()
	if c.archive != nil {
		c.users++
		defer c.mu.Unlock()
		return c.archive, nil
	}
	c.mu.Unlock()
	a, err := c.fs.domain.OpenArchive(c.item)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
	if c.archive != nil { // opened since we looked
		_ = a.Close()
	} else {
		c.archive = a
	}
	return c.archive, nil
}

// close undoes one open.
func (c *contents) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	if c.removed || c.fs.ctx.Err() != nil {
		c.shutLocked()
		return
	}
	if c.expiry == nil {
		c.expiry = time.AfterFunc(archiveLinger, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.expiry = nil
			c.shutLocked()
		})
		return
	}
	c.expiry.Reset(archiveLinger)
}

// shutLocked closes the archive if nobody uses it.
func (c *contents) shutLocked() {
	if c.users > 0 || c.archive == nil {
		return
	}
	if err := c.archive.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		c.fs.log.Debug("archive did not close", "op", "contents", "download", c.item.ID(), "err", err)
	}
	c.archive = nil
}

// remove closes the archive as soon as it has no users; it no longer lingers.
func (c *contents) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = true
	c.shutLocked()
}

// noticed notes that the archive is another one now, if err says so.
func (c *contents) noticed(err error) { c.fs.versions.noticed(c.item, c.version, err) }

// stale reports whether the archive is another one now. Then there are other contents.
func (c *contents) stale() bool { return c.version != c.fs.versions.of(c.item) }

// known returns the index, or why there will never be one, if either is known.
func (c *contents) known() (*zipfile.Index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index, c.failed
}

// tree returns the index. It waits until the download has ended, as opening
// archive.zip does, and until the archive's directory is read.
func (c *contents) tree(ctx context.Context) (*zipfile.Index, error) {
	for {
		if x, err := c.known(); x != nil || err != nil {
			c.fs.contents.used(c)
			return x, err
		}
		a, err := c.open()
		if errors.Is(err, download.ErrNotReady) {
			err = c.item.Wait(ctx)
		} else if err == nil {
			err = c.read(ctx, a)
			c.close()
		}
		if err != nil {
			return nil, err
		}
	}
}

// read reads the index, unless another caller does so first.
func (c *contents) read(ctx context.Context, a download.Archive) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if x, err := c.known(); x != nil || err != nil {
		return err
	}
	x, err := zipfile.ReadIndex(ctx, archiveBytes{a}, c.item.Snapshot().Archive.Size, time.Local)
	c.noticed(err)
	if err != nil && !errors.Is(err, zipfile.ErrFormat) {
		return err
	}
	c.mu.Lock()
	c.index, c.failed = x, err
	if err == nil {
		c.entries = x.Entries()
	}
	c.mu.Unlock()
	if err != nil {
		c.fs.log.Warn("contents cannot be shown", "op", "contents", "download", c.item.ID(), "err", err)
	}
	return err
}

// told returns what status shows: how many entries there are (-1 while not known), or
// why they cannot be shown.
func (c *contents) told() (entries int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries, c.failed
}

// count finds out what told returns, if the whole archive is in the cache. It does
// not wait for the server.
func (c *contents) count(ctx context.Context) {
	if n, err := c.told(); n >= 0 || err != nil || !whole(c.item.Snapshot()) {
		return
	}
	a, err := c.fs.domain.OpenArchive(c.item)
	if err != nil {
		return
	}
	defer a.Close()
	if c.read(ctx, a) == nil {
		c.fs.contents.used(c)
	}
}

// whole reports whether a download's whole archive is in the cache.
func whole(s download.Snapshot) bool { return s.Ready && s.CachedBytes == s.Archive.Size }

// maxIndexes is how much memory the indexes may take besides the one used last.
const maxIndexes = 64 << 20

// allContents finds the contents of each download and bounds the memory they take.
type allContents struct {
	fs         *filesystem
	memory     *zipfile.Memory
	maxIndexes int64

	mu     sync.Mutex // guards what follows
	all    map[uint64]*contents
	most   int         // sweep when there are more
	recent []*contents // those with an index, the one used last at the end
}

// fewContents is how many contents are kept without a look whether their downloads are
// still there.
const fewContents = 64

func newAllContents(f *filesystem) *allContents {
	return &allContents{fs: f, memory: zipfile.NewMemory(), maxIndexes: maxIndexes, all: make(map[uint64]*contents), most: fewContents}
}

// of returns the contents of a download.
func (r *allContents) of(d item) *contents {
	r.mu.Lock()
	old := r.all[d.Serial()]
	if old != nil && !old.stale() {
		r.mu.Unlock()
		return old
	}
	c := &contents{fs: r.fs, item: d, version: r.fs.versions.of(d), turn: make(chan struct{}, 1), entries: -1}
	r.all[d.Serial()] = c
	var all []*contents
	if len(r.all) > r.most {
		all = slices.Collect(maps.Values(r.all))
	}
	r.mu.Unlock()
	if old != nil {
		old.remove()
	}
	r.sweep(all)
	return c
}

// sweep forgets those of all whose download is gone without a word to the mount, such as
// one that another mount of a share has removed.
func (r *allContents) sweep(all []*contents) {
	if len(all) == 0 {
		return
	}
	kept := 0
	for _, c := range all {
		if d, ok := r.fs.domain.Find(c.item.ID()); ok && d.Serial() == c.item.Serial() {
			kept++
		} else {
			r.remove(c.item)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = max(fewContents, 2*kept)
}

// used notes that the index of c was used. If all indexes together are too large, it
// drops those that have not been used for longest.
func (r *allContents) used(c *contents) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.recent) - 1
	if last >= 0 && r.recent[last] == c {
		return
	}
	kept, size := []*contents{c}, int64(0)
	for i := last; i >= 0; i-- {
		o := r.recent[i]
		if o == c {
			continue
		}
		o.mu.Lock()
		if o.index != nil {
			if size += o.index.Memory(); size <= r.maxIndexes && !o.removed {
				kept = append(kept, o)
			} else {
				o.index = nil
			}
		}
		o.mu.Unlock()
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	r.recent = kept
}

// remove forgets the contents of a download that was removed. Open files can still be
// read.
func (r *allContents) remove(d item) {
	r.mu.Lock()
	c := r.all[d.Serial()]
	delete(r.all, d.Serial())
	r.mu.Unlock()
	if c != nil {
		c.remove()
	}
}

// close closes the archives that have no users.
func (r *allContents) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		c.remove()
	}
}
