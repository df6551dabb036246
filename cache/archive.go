package cache

import (
	"container/list"
	"errors"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

// The states of a block on disk.
const (
	blockAbsent  uint32 = iota
	blockClaimed        // claimed by the index of an earlier run; not checked yet
	blockChecked        // being checked, or given up, right now
	blockWritten        // written in this run; the disk has not confirmed it yet
	blockGood           // synced or checked in this run
)

// archive is one incarnation of an archive in the cache: its identity, the blocks
// that are on disk, and the streams that bring the others.
type archive struct {
	c    *Cache
	info download.ArchiveInfo
	name string // of the data file
	n    int    // blocks

	// state holds a blockAbsent… value for each block. It is nil when the archive is
	// never kept on disk. It changes under mu, but you may read it without.
	state  []atomic.Uint32
	good   atomic.Int64 // blocks that are blockGood
	onDisk atomic.Int64 // bytes of the blocks that are not blockAbsent
	// file is the data file while it is open: from its first use until the last
	// reference is released, including the keeper's.
	file    atomic.Pointer[os.File]
	direct  atomic.Pointer[os.File] // the same, for writing past the page cache
	openMu  sync.Mutex              // one opening of the file at a time
	dropped atomic.Bool
	wrong   atomic.Bool // see giveUp

	// Guarded by c.mu.
	refs     int       // handles, streams and background work; see Cache.acquire
	held     int       // the keeper's share of refs; they keep the file open but do not prevent eviction
	unsynced bool      // the keeper holds a reference because some blocks are blockWritten
	charged  int64     // bytes reserved for it
	removed  bool      // its data file has no name any more
	used     time.Time // when a handle was opened last, or it was first fetched

	// mu guards the fields below. The locks of the cache, the pool, the lanes and the
	// rest come after it. No I/O happens under it.
	mu      sync.Mutex
	sums    []uint32          // CRC32C of the blocks that are not absent
	mem     map[int]*memBlock // blocks in memory
	waits   map[int][]*blockWait
	streams map[*stream]struct{}
	cursors []*cursor
	handles int
	serving int          // number of streams for readers
	idle    time.Time    // since when there are no handles
	pending map[int]bool // blocks whose claim the index has to learn about
	losses  int          // syncs that failed
	noRoom  bool         // the last block could not be written to disk
	stuck   map[int]bool // absent blocks whose room could not be freed and is still charged
}

// newArchive returns an archive that has nothing on disk.
func newArchive(c *Cache, info download.ArchiveInfo, name string) *archive {
	a := &archive{
		c:       c,
		info:    info,
		name:    name,
		n:       blockCount(info.Size),
		mem:     make(map[int]*memBlock),
		waits:   make(map[int][]*blockWait),
		streams: make(map[*stream]struct{}),
		pending: make(map[int]bool),
		stuck:   make(map[int]bool),
	}
	if c.disk != nil && a.n <= maxBlocks {
		a.state = make([]atomic.Uint32, a.n)
		a.sums = make([]uint32, a.n)
	}
	return a
}

// len returns the length of block b.
func (a *archive) len(b int) int { return blockLen(a.info.Size, b) }

// is returns the state of block b on disk.
func (a *archive) is(b int) uint32 {
	if a.state == nil {
		return blockAbsent
	}
	return a.state[b].Load()
}

// set changes the state of block b; a.mu is held.
func (a *archive) set(b int, state uint32) {
	old := a.state[b].Swap(state)
	if (old == blockAbsent) != (state == blockAbsent) {
		n := int64(a.len(b))
		if state == blockAbsent {
			n = -n
		}
		a.onDisk.Add(n)
	}
	if (old == blockGood) != (state == blockGood) {
		if state == blockGood {
			a.good.Add(1)
		} else {
			a.good.Add(-1)
		}
	}
}

// gone notes that block b is not on disk after all. It also drops the copy of a saved
// block in memory, so that the block is fetched and kept again. The caller returns
// buf to the pool. a.mu is held.
func (a *archive) gone(b int) (buf []byte) {
	a.set(b, blockAbsent)
	a.pending[b] = true
	if e := a.mem[b]; e != nil && e.saved {
		buf = a.discard(e)
	}
	a.wakeAll(b)
	return buf
}

// missing reports whether block b is neither on disk nor in memory; a.mu is held.
func (a *archive) missing(b int) bool {
	return a.is(b) == blockAbsent && a.mem[b] == nil
}

// complete reports whether every block is on disk.
func (a *archive) complete() bool { return a.onDisk.Load() == a.info.Size }

// toDisk reports whether new blocks may go to disk at all.
func (a *archive) toDisk() bool { return a.state != nil && !a.dropped.Load() }

// same reports whether info names the same bytes as a. Modification times are
// compared to the second, because a time that was stored elsewhere may keep no more.
// A zero time is unknown.
func (a *archive) same(info download.ArchiveInfo) bool {
	if a.info.Size != info.Size {
		return false
	}
	if a.info.ModifiedAt.IsZero() || info.ModifiedAt.IsZero() {
		return true
	}
	return a.info.ModifiedAt.Sub(info.ModifiedAt).Abs() < time.Second
}

// open returns the data file. The first call opens it, or creates it if create is
// set. The caller holds a reference.
func (a *archive) open(create bool) (*os.File, error) {
	if f := a.file.Load(); f != nil {
		return f, nil
	}
	a.openMu.Lock()
	defer a.openMu.Unlock()
	if f := a.file.Load(); f != nil {
		return f, nil
	}
	if a.c.shut.Load() {
		return nil, download.ErrClosed
	}
	f, err := a.c.disk.open(a.name)
	if create && errors.Is(err, os.ErrNotExist) && !a.dropped.Load() {
		f, err = a.c.disk.create(a.name, a.info.Size)
		if err == nil && a.dropped.Load() {
			// It was dropped meanwhile, and discard may have looked for the file too early.
			_ = a.c.disk.remove(a.name)
		}
	}
	if err != nil {
		return nil, err
	}
	a.file.Store(f)
	return f, nil
}

// goneWith reports whether err only says that Drop removed the data file. A reader
// that had not opened it by then reads from the server.
func (a *archive) goneWith(err error) bool {
	return a.dropped.Load() && errors.Is(err, os.ErrNotExist)
}

// shut closes the data file for good, because the cache is closed.
func (a *archive) shut() {
	a.openMu.Lock()
	defer a.openMu.Unlock()
	closeAll(a.takeFiles())
}

// takeFiles returns the data file as it is open. The next who needs it opens it again.
func (a *archive) takeFiles() (files []*os.File) {
	for _, p := range []*atomic.Pointer[os.File]{&a.file, &a.direct} {
		if f := p.Swap(nil); f != nil {
			files = append(files, f)
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// log returns the logger with the archive's id.
func (a *archive) log() *slog.Logger { return a.c.log.With("download", a.info.ID) }

// memBlock is a block in memory. Either a stream is filling it, or it is kept because
// readers want it or because it is not on disk.
type memBlock struct {
	a    *archive
	b    int
	buf  []byte
	full int // length of the block
	// filled is how much of buf is valid. The bytes before it do not change any more.
	filled atomic.Int64
	// need is the smallest number of bytes that a reader waits for.
	need atomic.Int64
	// arrived is how long the source took to fill it.
	arrived time.Duration

	// Guarded by a.mu.
	refs   int  // readers copying from buf
	kept   bool // filled, and stays until the pool takes it back
	saved  bool // kept, and also on disk
	read   int  // bytes of it that readers have read
	passed bool // all of it has been read, so it is not likely to be read again
	gone   bool // no longer in a.mem; the last reader frees buf

	// Guarded by the pool's lock.
	el *list.Element
	in *list.List
}

// blockWait is a reader that waits for bytes of a block, or for any change to it.
type blockWait struct {
	need int64 // bytes from the start of the block
	ch   chan struct{}
	err  error // why the bytes do not come; guarded by a.mu
}

// wake makes the reader check again. a.mu is held.
func (w *blockWait) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// wake wakes the readers that wait for at most filled bytes of block b. It returns the
// smallest need of the others. a.mu is held.
func (a *archive) wake(b int, filled int64) int64 {
	least := int64(math.MaxInt64)
	for _, w := range a.waits[b] {
		if w.need <= filled {
			w.wake()
		} else {
			least = min(least, w.need)
		}
	}
	return least
}

// wakeAll makes all readers that wait for block b check again. a.mu is held.
func (a *archive) wakeAll(b int) { a.wake(b, math.MaxInt64) }

// advance adds n valid bytes and wakes the readers that have what they need.
func (e *memBlock) advance(n int) {
	filled := e.filled.Add(int64(n))
	if filled < e.need.Load() {
		return
	}
	e.a.mu.Lock()
	e.need.Store(e.a.wake(e.b, filled))
	e.a.mu.Unlock()
}

// ref keeps e's buffer until unref; a.mu is held.
func (a *archive) ref(e *memBlock) { e.refs++ }

// unref ends ref, after the reader has read n bytes.
func (a *archive) unref(e *memBlock, n int) {
	a.mu.Lock()
	e.refs--
	e.read += n
	e.passed = e.read >= e.full
	a.served(e.b)
	var buf []byte
	switch {
	case e.refs > 0:
	case e.gone:
		buf = e.buf
	case e.kept:
		a.c.pool.keep(e)
	}
	a.mu.Unlock()
	if buf != nil {
		a.c.pool.put(buf)
	} else {
		a.c.pool.serve()
	}
}

// discard takes e out of memory. It returns e's buffer if no reader holds it. a.mu is
// held.
func (a *archive) discard(e *memBlock) []byte {
	delete(a.mem, e.b)
	e.gone = true
	a.c.pool.unkeep(e)
	if e.refs > 0 {
		return nil
	}
	return e.buf
}

// dropMemory gives up all kept blocks if nobody has the archive open.
func (a *archive) dropMemory() {
	var bufs [][]byte
	a.mu.Lock()
	if a.handles == 0 {
		for _, e := range a.mem {
			if !e.kept {
				continue
			}
			if buf := a.discard(e); buf != nil {
				bufs = append(bufs, buf)
			}
		}
	}
	a.mu.Unlock()
	for _, buf := range bufs {
		a.c.pool.put(buf)
	}
}

// forget gives up a kept block and returns its buffer. It returns nil if somebody
// needs the block, or will need it soon and urgent is not set. The pool has taken e
// off its lists.
func (a *archive) forget(e *memBlock, urgent bool) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.gone {
		return nil
	}
	if e.refs > 0 || len(a.waits[e.b]) > 0 || a.reading(e.b) || !e.passed && !urgent && a.soon(e.b) {
		a.c.pool.keep(e)
		return nil
	}
	return a.discard(e)
}
