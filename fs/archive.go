package fs

import (
	"context"
	"errors"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

const archiveName = "archive.zip"

// archiveNode is archive.zip. What the tools do first decides what may wait:
// unzip and tar believe the size of a stat made before opening, so GETATTR
// waits until the download has ended, unless its caller is browsing; OPEN
// always waits; everything else answers with what is known now.
type archiveNode struct {
	memberNode
	item item

	mu sync.Mutex // guards what follows
	// final is the archive once it was ready: it is immutable, and a handle on
	// it outlives the download.
	final *download.ArchiveInfo
	// told is the size that was last told to the kernel.
	told int64
	// again are the threads whose OPEN was answered with ESTALE, see refresh.
	again map[int]bool
	opens opens
}

var (
	_ fusefs.NodeGetattrer = (*archiveNode)(nil)
	_ fusefs.NodeStatxer   = (*archiveNode)(nil)
	_ fusefs.NodeOpener    = (*archiveNode)(nil)
)

func newArchiveNode(f *filesystem, d item) *archiveNode {
	n := &archiveNode{memberNode: memberNode{node{fs: f}}, item: d, told: -1}
	n.self = n
	return n
}

// attributes answers for every reply to the kernel that carries attributes, and
// for nothing else: it notes the size as told.
func (n *archiveNode) attributes() attributes {
	s := n.item.Snapshot()
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Ready {
		n.final = &s.Archive
	}
	a := attributes{
		mode: n.fs.fileMode(), nlink: 1,
		created: n.fs.when(s.CreatedAt), changed: n.fs.when(s.CreatedAt),
	}
	if n.final != nil {
		// From now on nothing changes, least of all the modification time: the
		// kernel would drop the pages it has.
		a.size, a.valid, a.entry = n.final.Size, settled, settled
		if !n.final.ModifiedAt.IsZero() {
			a.changed = n.final.ModifiedAt
		}
	} else {
		// What goes into the archive, and never 0: file managers show a file of
		// size 0 as an empty document, and tar stores it as one without opening it.
		a.size = max(s.TotalBytes, 1)
	}
	n.told = a.size
	return a
}

// Access must not ask attributes, which would note a size that is not told.
func (n *archiveNode) Access(ctx context.Context, mask uint32) syscall.Errno {
	if n.fs.mine(ctx) {
		mask &^= accessWrite
	}
	return n.fs.access(ctx, n.fs.fileMode(), false, mask)
}

// Statx tells a caller that wants the birth time, as GLib and stat do: it looks
// at the file and browses from then on. When it asks whether it may execute the
// file, the kernel sends GETATTR, which must not wait for it.
func (n *archiveNode) Statx(ctx context.Context, h fusefs.FileHandle, flags, mask uint32, out *fuse.StatxOut) syscall.Errno {
	if !n.item.Snapshot().Ready {
		n.fs.browsers.saw(n.item.Serial(), n.fs.caller(ctx))
	}
	return n.node.Statx(ctx, h, flags, mask, out)
}

// Getattr waits for the download to end when the caller touches the archive.
// One that has ended without an archive has nothing to wait for: its attributes
// are answered, so that it can be listed and removed; opening it tells why.
func (n *archiveNode) Getattr(ctx context.Context, h fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	s := n.item.Snapshot()
	if h == nil && !n.fs.waitOpen && !s.Ready && !s.Status.Ended() && !n.browsing(ctx) && !n.removing(ctx) {
		if err := n.wait(ctx); err != nil {
			return n.fs.errno("stat", n.item.ID(), err)
		}
	}
	return n.node.Getattr(ctx, h, out)
}

// browsing reports whether the caller has just listed the directory.
func (n *archiveNode) browsing(ctx context.Context) bool {
	return n.fs.browsers.browsing(n.item.Serial(), n.fs.caller(ctx))
}

// removing reports whether the caller is rm, which stats what it is about to
// unlink: it must not wait for the very download that it cancels. Nothing but
// its name tells its stat from one of a reader's.
func (n *archiveNode) removing(ctx context.Context) bool {
	return n.fs.callers.name(callerPID(ctx)) == "rm"
}

// wait returns nil when the archive can be opened.
func (n *archiveNode) wait(ctx context.Context) error {
	work, stop := n.fs.interruptible(ctx)
	defer stop()
	return n.item.Wait(work)
}

// Open waits until the archive can be read; with O_NONBLOCK it answers EAGAIN
// instead. But tar and bsdtar open every file they find so, lest it be a FIFO,
// and take EAGAIN for an error: who has just listed the directory waits.
func (n *archiveNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	for {
		if n.refresh(ctx) {
			return nil, 0, syscall.ESTALE
		}
		archive, err := n.fs.domain.OpenArchive(n.item)
		if err == nil {
			return n.opens.add(n, archive, n.item.Snapshot().Archive.Size), fuse.FOPEN_KEEP_CACHE, 0
		}
		if errors.Is(err, download.ErrNotReady) && (flags&syscall.O_NONBLOCK == 0 || n.browsing(ctx)) {
			err = n.wait(ctx)
		}
		if err != nil {
			return nil, 0, n.fs.errno("open", n.item.ID(), err)
		}
	}
}

// refresh reports whether an OPEN has to be answered with ESTALE so that the
// kernel learns the archive's size. While the download was pending the kernel
// was told another one. read(2) asks again, but sendfile(2) and page faults
// trust what is there, and no notification can carry a size. After ESTALE the
// kernel looks the path up once more and opens what it finds; that LOOKUP tells
// the size. An OPEN that comes without one, through /proc/self/fd, is let pass
// the second time.
func (n *archiveNode) refresh(ctx context.Context) bool {
	s, pid := n.item.Snapshot(), callerPID(ctx)
	if !s.Ready || pid == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.again[pid] {
		delete(n.again, pid)
		return false
	}
	if n.told == s.Archive.Size {
		return false
	}
	const maxAgain = 1024 // threads that died in between leave theirs behind
	if n.again == nil || len(n.again) >= maxAgain {
		n.again = make(map[int]bool)
	}
	n.again[pid] = true
	return true
}
