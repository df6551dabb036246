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

// archiveNode is archive.zip. waits.go says which callers wait for it. size.go says
// which size the others see.
type archiveNode struct {
	memberNode

	mu sync.Mutex // guards what follows
	// final is set once the archive is ready. It is immutable, and a handle on it
	// outlives the download.
	final *download.ArchiveInfo
	// told is the size that was last told to the kernel.
	told int64
	// toldTo holds, for each caller that browses, the size it was told when it last
	// looked.
	toldTo map[caller]int64
	// version is that of the pages that the kernel keeps.
	version uint64
	// again holds the threads whose OPEN was answered with ESTALE, see refresh.
	again map[int]bool
	opens opens
}

var (
	_ fusefs.NodeGetattrer = (*archiveNode)(nil)
	_ fusefs.NodeStatxer   = (*archiveNode)(nil)
	_ fusefs.NodeStatfser  = (*archiveNode)(nil)
	_ fusefs.NodeOpener    = (*archiveNode)(nil)
)

func newArchiveNode(f *filesystem, d item) *archiveNode {
	n := &archiveNode{memberNode: memberNode{node{fs: f}, d}, told: -1}
	n.self = n
	return n
}

// attributes is called for every reply to the kernel that carries attributes, and for
// nothing else: it notes the size as told.
func (n *archiveNode) attributes() attributes {
	s := n.item.Snapshot()
	n.fs.sizes.learn(s)
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
		// From now on nothing changes. If the modification time did, the kernel would
		// drop the pages it has.
		a.size, a.valid, a.entry = n.final.Size, settled, settled
		if !n.final.ModifiedAt.IsZero() {
			a.changed = n.final.ModifiedAt
		}
	} else if !s.Status.Ended() || s.Status == download.StatusDone {
		a.size, a.pending = n.fs.sizes.bound(s), true
	} else {
		// The archive cannot be opened. The size is never 0: file managers show a
		// file of size 0 as an empty document, and tar stores it as one without
		// opening it.
		a.size, a.pending = max(s.TotalBytes, 1), true
	}
	n.told = a.size
	return a
}

// Access must not call attributes, which would note a size that is not told.
func (n *archiveNode) Access(ctx context.Context, mask uint32) syscall.Errno {
	if n.fs.mine(ctx) {
		mask &^= accessWrite
	}
	return n.fs.access(ctx, n.fs.fileMode(), false, mask)
}

// Statfs is sent by file managers before they look at what they listed.
func (n *archiveNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.noteBrowsing(ctx)
	return n.node.Statfs(ctx, out)
}

func (n *archiveNode) Getattr(ctx context.Context, h fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.awaitSize(ctx, h); errno != 0 {
		return errno
	}
	errno := n.node.Getattr(ctx, h, out)
	n.tell(ctx, int64(out.Size))
	return errno
}

func (n *archiveNode) Statx(ctx context.Context, h fusefs.FileHandle, flags, mask uint32, out *fuse.StatxOut) syscall.Errno {
	if errno := n.awaitSize(ctx, h); errno != 0 {
		return errno
	}
	errno := n.node.Statx(ctx, h, flags, mask, out)
	n.tell(ctx, int64(out.Size))
	return errno
}

// awaitSize waits for the download to end if the caller touches the archive. If the
// download has ended without an archive, there is nothing to wait for: the attributes
// are answered so that the file can be listed and removed, and opening it tells why.
func (n *archiveNode) awaitSize(ctx context.Context, h fusefs.FileHandle) syscall.Errno {
	s := n.item.Snapshot()
	if h != nil || s.Ready || s.Status.Ended() || n.browses(ctx) {
		return 0
	}
	if n.fs.waitOpen && !n.fs.fillsUp(callerPID(ctx)) {
		return 0
	}
	if err := n.wait(ctx); err != nil {
		return n.fs.errno("stat", n.item.ID(), err)
	}
	return 0
}

// tell notes which size the caller was told.
func (n *archiveNode) tell(ctx context.Context, size int64) {
	const most = 1024 // callers beyond that are not protected from a bound that is too small
	n.mu.Lock()
	final, known := n.final != nil, len(n.toldTo)
	n.mu.Unlock()
	if final && known == 0 || !final && known >= most {
		return
	}
	who := n.fs.caller(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if final {
		delete(n.toldTo, who)
		return
	}
	if n.toldTo == nil {
		n.toldTo = make(map[caller]int64)
	}
	n.toldTo[who] = size
}

// toldLess reports whether the caller was told a size that is too small and may take
// it for the archive's. It reports this once. Once is enough, because the kernel
// knows the right size by then and answers the caller's next stat without asking us.
func (n *archiveNode) toldLess(ctx context.Context, size int64) bool {
	n.mu.Lock()
	known := len(n.toldTo)
	n.mu.Unlock()
	if known == 0 {
		return false
	}
	who, program := n.fs.caller(ctx), n.fs.callers.program(callerPID(ctx))
	n.mu.Lock()
	defer n.mu.Unlock()
	told, ok := n.toldTo[who]
	delete(n.toldTo, who)
	return ok && told < size && !readsToEnd(program)
}

// Open waits until the archive can be read. With O_NONBLOCK it answers EAGAIN
// instead. But tar and bsdtar open every file they find with O_NONBLOCK, in case it
// is a FIFO, and take EAGAIN for an error. So a caller that has just listed the
// directory waits. Programs that only sniff at the archive get EAGAIN too, and so does
// what would move it into a trash.
func (n *archiveNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	name := n.item.Snapshot().Name
	for {
		// After a rename the path that the caller gave leads nowhere, and the kernel
		// keeps the wrong size.
		renamed := name != n.item.Snapshot().Name
		if !renamed && n.refresh(ctx) {
			return nil, 0, syscall.ESTALE
		}
		version := n.fs.versions.of(n.item)
		archive, err := n.fs.domain.OpenArchive(n.item)
		if size := n.item.Snapshot().Archive.Size; err == nil && n.toldLess(ctx, size) {
			n.fs.log.Warn("the archive is larger than a program was told while it was pending",
				"op", "open", "download", n.item.ID(), "len", size)
			_ = archive.Close()
			err = errToldLess
		} else if err == nil {
			h, flags := n.opens.add(n, archive, size, version, renamed)
			return h, flags, 0
		}
		if errors.Is(err, download.ErrNotReady) && (flags&syscall.O_NONBLOCK == 0 || n.listed(ctx)) && !n.fs.sniffs(callerPID(ctx)) && !n.fs.trashing(ctx) {
			err = n.wait(ctx)
		}
		if err != nil {
			return nil, 0, n.fs.errno("open", n.item.ID(), err)
		}
	}
}

// listed reports whether the caller has just listed the directory.
func (n *archiveNode) listed(ctx context.Context) bool {
	return n.fs.browsers.browsing(n.item.Serial(), n.fs.caller(ctx))
}

// refresh reports whether an OPEN must be answered with ESTALE so that the kernel
// learns the archive's size. While the download was pending, the kernel was told
// another one. read(2) asks again, but sendfile(2) and page faults trust the size
// that the kernel has, and no notification can carry a size. After ESTALE the kernel
// looks the path up once more and opens what it finds. That LOOKUP tells the size. An
// OPEN without a LOOKUP, through /proc/self/fd, succeeds the second time.
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
