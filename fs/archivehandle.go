package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// archiveHandle is an open archive.zip.
type archiveHandle struct {
	node    *archiveNode
	archive download.Archive
	size    int64
	version uint64 // see versions
	// unsized: the kernel may take the archive for larger than it is.
	unsized bool
	failures
}

var (
	_ fusefs.FileReader   = (*archiveHandle)(nil)
	_ fusefs.FileReleaser = (*archiveHandle)(nil)
	_ fusefs.FileLseeker  = (*archiveHandle)(nil)
	_ fusefs.FileFsyncer  = (*archiveHandle)(nil)
)

// Read answers from the local file, without copying, if the bytes are there.
// Otherwise it fetches them.
func (h *archiveHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := min(int64(len(dest)), h.size-off)
	if n <= 0 && h.unsized {
		// An empty reply would tell the kernel that the file ends at off. It takes the
		// first of several short replies to requests under way for the truth, so
		// sendfile(2) could pass on zeros. The reply that ends short of dest tells.
		return nil, syscall.EIO
	}
	if n <= 0 {
		return reply(nil), 0
	}
	dest = dest[:n]
	if file, ok := h.archive.File(off, n); ok {
		if n <= maxSplice {
			return fuse.ReadResultFd(file.Fd(), off, int(n)), 0
		}
		if _, err := file.ReadAt(dest, off); err == nil {
			return reply(dest), 0
		}
	}
	if errno := h.justFailed(off); errno != 0 {
		return nil, errno
	}
	work, stop := h.node.fs.interruptible(ctx)
	defer stop()
	began := time.Now()
	loan, err := download.Lend(work, h.archive, dest, off)
	h.node.fs.versions.noticed(h.node.item, h.version, err)
	if err != nil && !errors.Is(err, io.EOF) {
		errno := h.node.fs.errno("read", h.node.item.ID(), err)
		h.fail(off, n, began, errno)
		return nil, errno
	}
	if err != nil {
		// After a short reply the kernel would believe that the file ends here.
		return nil, h.node.fs.errno("read", h.node.item.ID(), io.ErrUnexpectedEOF)
	}
	return &lentReply{loan, n}, 0
}

// Lseek knows no holes. go-fuse's default would call Getattr.
func (h *archiveHandle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	return seekData(off, whence, h.size)
}

// seekData answers lseek(2) in a file of size bytes without holes.
func seekData(off uint64, whence uint32, size int64) (uint64, syscall.Errno) {
	const data, hole = 3, 4
	switch {
	case whence != data && whence != hole:
		return 0, syscall.EINVAL
	case off >= uint64(size):
		return 0, syscall.ENXIO
	case whence == hole:
		return uint64(size), 0
	}
	return off, 0
}

// Fsync has nothing to do.
func (h *archiveHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release closes the archive after the last read of this handle.
func (h *archiveHandle) Release(context.Context) syscall.Errno {
	h.node.opens.remove(h.node)
	if err := h.archive.Close(); err != nil {
		return h.node.fs.errno("release", h.node.item.ID(), err)
	}
	return 0
}

// passthroughHandle is an open archive that the kernel reads from the local file
// itself.
type passthroughHandle struct {
	*archiveHandle
	file *os.File
}

var _ fusefs.FilePassthroughFder = (*passthroughHandle)(nil)

// PassthroughFd returns the file that holds the whole archive.
func (h *passthroughHandle) PassthroughFd() (int, bool) { return int(h.file.Fd()), true }

// opens counts the open handles of an archive and keeps the kernel's two ways of
// reading apart: the kernel fails an open with EIO while a handle of the other way is
// open. We count an inode as open from before OPEN is answered until RELEASE comes,
// which is longer than the kernel does.
type opens struct {
	count int
	whole *os.File // the archive's file while it is open in passthrough mode
}

// add counts the archive as open from now on. It returns a handle on it and the flags of
// the reply to OPEN.
func (o *opens) add(n *archiveNode, archive download.Archive, size int64, version uint64, unsized bool) (fusefs.FileHandle, uint32) {
	h := &archiveHandle{node: n, archive: archive, size: size, version: version, unsized: unsized}
	file, whole := archive.File(0, size)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.unsized = h.unsized || n.told != size
	if o.count == 0 && whole && size > 0 {
		o.whole = file
	}
	o.count++
	n.fs.uses.Add(1)
	var flags uint32
	if n.version == version {
		flags = fuse.FOPEN_KEEP_CACHE
	}
	n.version = version
	if o.whole != nil {
		return &passthroughHandle{h, o.whole}, flags
	}
	return h, flags
}

func (o *opens) remove(n *archiveNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fs.uses.Add(-1)
	if o.count--; o.count == 0 {
		o.whole = nil
	}
}
