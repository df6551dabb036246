package fs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// filesystem is what all nodes of one mount share.
type filesystem struct {
	domain    domain
	answers   answers
	repeats   repeats
	log       *slog.Logger
	owner     owner
	shared    bool          // --allow-other
	names     time.Duration // how long the kernel may keep the names of downloads
	waitOpen  bool          // --wait open: only OPEN and READ wait
	mounted   time.Time
	browsers  *browsers
	sizes     sizes
	versions  versions
	callers   callers
	uses      atomic.Int64 // open handles on archives and lists, and waits
	contents  *allContents // nil with --contents off
	stats     func() []byte
	bandwidth Setting
	announce  *announcer // nil if nothing is announced
	listers   listers

	// ctx ends when nothing is served any more, and the work in progress ends with
	// it.
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex  // guards what follows
	touched time.Time   // when the list of downloads last changed
	listErr error       // why the latest list was refused before it was submitted
	again   download.ID // the latest list's answer, if the list was a repetition
}

func newFilesystem(cfg Config, d domain) *filesystem {
	now := time.Now()
	f := &filesystem{
		domain:    d,
		log:       cfg.Logger,
		owner:     owner{cfg.UID, cfg.GID},
		shared:    cfg.AllowOther,
		names:     settled,
		waitOpen:  cfg.WaitOpen,
		mounted:   now,
		browsers:  newBrowsers(),
		callers:   newCallers(cfg.proc),
		stats:     cfg.Stats,
		bandwidth: cfg.Bandwidth,
		touched:   now,
	}
	if cfg.Elsewhere {
		f.names = 0
	}
	if !cfg.NoContents {
		f.contents = newAllContents(f)
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	for _, known := range d.Downloads() {
		f.sizes.learn(known.Snapshot())
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// close ends the work in progress and waits for it.
func (f *filesystem) close() {
	f.stop()
	f.announce.wait()
	if f.contents != nil {
		f.contents.close()
	}
	f.work.Wait()
}

// dirMode and fileMode are the permissions. Other users have theirs only with
// --allow-other. A copy of a file gets the file's mode, and its owner may write it.
// Opening the file itself to write is refused.
func (f *filesystem) dirMode() uint32 {
	if f.shared {
		return 0o755
	}
	return 0o700
}

func (f *filesystem) fileMode() uint32 {
	if f.shared {
		return 0o644
	}
	return 0o600
}

// entryMode is the mode of a directory in which nothing can be made. If the kernel
// checks permissions, the mode must not show that, or nothing could be removed
// either.
func (f *filesystem) entryMode() uint32 {
	if f.shared {
		return 0o755
	}
	return 0o500
}

// touch notes that a download came, went or changed its name.
func (f *filesystem) touch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touched = time.Now()
}

func (f *filesystem) lastTouched() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.touched
}

// when returns t, or the time of the mount if t is not known.
func (f *filesystem) when(t time.Time) time.Time {
	if t.IsZero() {
		return f.mounted
	}
	return t
}

// statfs reports the cache's size as the file system's. If the disk has less room
// than the limit, the free space is less than size minus use. df shows that as
// available.
func (f *filesystem) statfs(out *fuse.StatfsOut) {
	const block = 4096
	u := f.domain.Usage()
	out.Bsize, out.Frsize = block, block
	out.Blocks = uint64(max(u.Limit, u.Used, 0)) / block
	out.Bfree = uint64(max(u.Limit-u.Used, 0)) / block
	out.Bavail = uint64(max(u.Free, 0)) / block
	out.NameLen = maxName
}
