package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

// Cache keeps archives on disk. Its methods are safe for concurrent use.
type Cache struct {
	cfg      Config
	log      *slog.Logger
	source   download.Source
	disk     *disk // nil when the directory cannot be used
	unusable error // why disk is nil
	pool     pool
	lanes    lanes
	skips    skipCost
	direct   direct
	traffic  traffic

	ctx    context.Context
	cancel context.CancelFunc

	// mu guards the fields below, and those fields of an archive that say so. Lock it
	// after an archive's mu. It is not held across I/O.
	mu       sync.Mutex
	closed   bool
	wg       sync.WaitGroup // Add only under mu and while not closed
	archives map[download.ID]*archive
	active   map[*archive]struct{} // archives with references
	used     int64                 // bytes reserved
	prefetch prefetcher
	free     struct { // free room on the disk, see freeSpace
		left int64
		seen time.Time
	}

	evicting sync.Mutex // held while making room; locked before mu

	waiting    atomic.Int64 // readers that wait for the network
	lastMiss   atomic.Int64 // when a reader last missed a block, UnixNano
	indexSize  atomic.Int64
	diskPaused atomic.Int64 // nothing is written before this time, UnixNano
	checking   atomic.Bool
	shut       atomic.Bool // no data file may be opened any more

	keeper keeper
}

var _ download.Archives = (*Cache)(nil)

// Open opens the cache in cfg.Dir. It returns ErrLocked when another process has it.
// If the directory cannot be used at all, the cache logs that and works without it.
func Open(cfg Config) (*Cache, error) {
	cfg = cfg.withDefaults()
	c := &Cache{
		cfg:      cfg,
		log:      cfg.Logger,
		source:   cfg.Source,
		archives: make(map[download.ID]*archive),
		active:   make(map[*archive]struct{}),
	}
	if c.source == nil {
		c.source = noSource{}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.lanes = lanes{n: 1, max: cfg.Streams}
	c.keeper.init()
	if err := c.openDir(); err != nil {
		if errors.Is(err, download.ErrLocked) {
			c.cancel()
			return nil, fmt.Errorf("open cache %s: %w", cfg.Dir, err)
		}
		c.unusable = err
		c.log.Warn("the cache directory cannot be used; archives are read straight from the server",
			"op", "open", "dir", cfg.Dir, "err", err)
	}
	c.wg.Go(c.keep)
	return c, nil
}

// openDir locks the directory and takes over what an earlier run left in it.
func (c *Cache) openDir() error {
	d, err := openDisk(c.cfg.Dir)
	if err != nil {
		return err
	}
	c.disk = d
	if err := c.restore(); err != nil {
		c.disk = nil
		clear(c.archives)
		c.used = 0
		d.close()
		return err
	}
	return nil
}

// Close ends all work, releases every reader with ErrClosed, and writes what the
// index has to know. Handles that are still open can read nothing after it.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return fmt.Errorf("close cache: %w", os.ErrClosed)
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	if c.disk == nil {
		c.pool.drain()
		return nil
	}
	err := errors.Join(c.flush(), c.keeper.close())
	c.shut.Store(true)
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.active))
	c.mu.Unlock()
	for _, a := range open {
		a.shut()
	}
	c.pool.drain()
	if err := errors.Join(err, c.disk.close()); err != nil {
		return fmt.Errorf("close cache: %w", err)
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for. It reports false when the cache
// is closed.
func (c *Cache) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// Open implements [download.Archives].
func (c *Cache) Open(info download.ArchiveInfo) (download.Archive, error) {
	a, err := c.get(info, true)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", info.ID, err)
	}
	a.enter()
	return &handle{a: a}, nil
}

// get returns the archive that info names, with a reference. It drops an archive that
// has the same id but other bytes.
func (c *Cache) get(info download.ArchiveInfo, use bool) (*archive, error) {
	if _, err := download.ParseID(string(info.ID)); err != nil {
		return nil, err
	}
	if info.Size < 0 {
		return nil, fmt.Errorf("size %d: %w", info.Size, download.ErrInvalid)
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, download.ErrClosed
	}
	a := c.archives[info.ID]
	var old *archive
	if a != nil && !a.same(info) {
		old, a = a, nil
		c.unlink(old)
	}
	if a == nil {
		a = newArchive(c, info, newFileName(info.ID))
		c.archives[info.ID] = a
	}
	if a.info.Node == "" && info.Node != "" {
		a.info.Node = info.Node // the index does not know it
	}
	c.acquire(a)
	if use || a.used.IsZero() {
		a.used = time.Now()
	}
	kept := a.charged > 0
	c.mu.Unlock()
	if use && kept {
		c.note(a, 0) // when it was used
	}
	if old != nil {
		c.log.Warn("archive changed on the server; its copy in the cache is dropped", "op", "open", "download", info.ID)
		c.discard(old)
	}
	return a, nil
}

// Cached implements [download.Archives].
func (c *Cache) Cached(id download.ID) int64 {
	if a := c.lookup(id); a != nil {
		return a.onDisk.Load()
	}
	return 0
}

// Complete implements [download.Archives].
func (c *Cache) Complete(id download.ID) bool {
	a := c.lookup(id)
	return a != nil && a.complete()
}

func (c *Cache) lookup(id download.ID) *archive {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.archives[id]
}

// Drop implements [download.Archives].
func (c *Cache) Drop(id download.ID) error {
	c.stopPrefetch(id)
	c.mu.Lock()
	a := c.archives[id]
	if a != nil {
		c.unlink(a)
	}
	c.mu.Unlock()
	if a == nil {
		return nil
	}
	if err := c.discard(a); err != nil {
		return fmt.Errorf("drop %s: %w", id, err)
	}
	return nil
}

// acquire adds a reference to a. A reference keeps the file open and protects the
// archive from eviction. c.mu is held.
func (c *Cache) acquire(a *archive) {
	a.refs++
	c.active[a] = struct{}{}
}

// retain is acquire for a caller that does not hold c.mu. The caller must have a
// reference, or know that there is one.
func (c *Cache) retain(a *archive) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acquire(a)
}

// release returns a reference. The last one closes the data file.
func (c *Cache) release(a *archive) {
	for {
		c.mu.Lock()
		if a.refs > 1 {
			a.refs--
			unused := a.refs == a.held
			c.mu.Unlock()
			if unused {
				a.dropMemory()
			}
			return
		}
		// Under the lock, so that nobody who comes meanwhile gets a file that is closed.
		files := a.takeFiles()
		if len(files) == 0 {
			break
		}
		// The room of a file without a name is free only when the file is closed.
		c.mu.Unlock()
		closeAll(files)
	}
	a.refs = 0
	delete(c.active, a)
	empty := c.archives[a.info.ID] == a && a.onDisk.Load() == 0 && a.info.Size > 0
	if empty {
		c.unlink(a) // it holds nothing worth remembering
	}
	c.releaseRoom(a)
	c.mu.Unlock()
	a.dropMemory()
	if empty {
		if err := c.discard(a); err != nil {
			a.log().Warn("data file not removed; it still takes room", "op", "close", "err", err)
		}
	}
}

// unlink takes a out of the cache. discard has to follow. c.mu is held.
func (c *Cache) unlink(a *archive) {
	delete(c.archives, a.info.ID)
	a.dropped.Store(true)
}

// releaseRoom releases the room that was reserved for a once its data file is gone for
// good: no name and no descriptor. c.mu is held.
func (c *Cache) releaseRoom(a *archive) {
	if a.removed && a.refs == 0 {
		c.used -= a.charged
		a.charged = 0
	}
}

// discard removes the data file of an unlinked archive. Open handles keep working on
// the file that they have. Its room is free when they are closed.
func (c *Cache) discard(a *archive) error {
	if a.state == nil {
		return nil
	}
	err := c.disk.remove(a.name)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	c.keeper.forget(a.name)
	c.mu.Lock()
	a.removed = err == nil
	c.releaseRoom(a)
	c.mu.Unlock()
	c.unhold(a)
	c.kick()
	return err
}

// yieldFor is how long background work stays away after a reader's last miss.
const yieldFor = time.Second

// missed notes that a reader needs the network.
func (c *Cache) missed() { c.lastMiss.Store(time.Now().UnixNano()) }

// busy reports whether readers need the network.
func (c *Cache) busy() bool {
	return c.waiting.Load() > 0 || time.Now().UnixNano()-c.lastMiss.Load() < int64(yieldFor)
}

// noSource is used when the cache has no source.
type noSource struct{}

func (noSource) Stream(_ context.Context, a download.ArchiveInfo, _, _ int64) (io.ReadCloser, error) {
	return nil, fmt.Errorf("stream %s: no source: %w", a.ID, download.ErrUnavailable)
}
