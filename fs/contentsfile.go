package fs

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// contentsFile is a file inside an archive.
type contentsFile struct {
	node
	contents *contents
	at       zipfile.Node
	size     int64
	modified time.Time

	mu     sync.Mutex // guards what follows
	reader *zipfile.Reader
	opens  int
}

var (
	_ fusefs.NodeOpener      = (*contentsFile)(nil)
	_ fusefs.NodeOnForgetter = (*contentsFile)(nil)
)

func newContentsFile(c *contents, at zipfile.Node, info zipfile.Info) *contentsFile {
	n := &contentsFile{node: node{fs: c.fs}, contents: c, at: at, size: info.Size, modified: info.Modified}
	n.self = n
	return n
}

func (n *contentsFile) attributes() attributes {
	return attributes{
		mode: 0o444, nlink: 1, size: n.size,
		created: n.modified, changed: n.modified,
		valid: settled, entry: settled,
	}
}

// Open opens the file. It waits only if the index must be read again, or the archive
// is no longer there.
func (n *contentsFile) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	switch {
	case writing(flags):
		return nil, 0, syscall.EACCES
	case !whole(n.contents.item.Snapshot()) && n.fs.indexing(ctx):
		return nil, 0, syscall.EACCES
	case n.contents.stale():
		return nil, 0, syscall.ESTALE // the kernel looks the path up once more
	}
	// Usually there is nothing to wait for.
	r, err := n.readerOf(n.contents.known())
	if r == nil && err == nil {
		work, stop := n.fs.interruptible(ctx)
		r, err = n.readerOf(n.contents.tree(work))
		stop()
	}
	var a download.Archive
	if err == nil {
		a, err = n.contents.open()
	}
	if errors.Is(err, download.ErrNotReady) {
		work, stop := n.fs.interruptible(ctx)
		a, err = n.archive(work)
		stop()
	}
	if err != nil {
		return nil, 0, n.fs.errno("open", n.contents.item.ID(), err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opens++
	n.fs.uses.Add(1)
	return &contentsHandle{file: n, reader: r, archive: a}, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, 0
}

// readerOf returns the file's reader, or why it cannot be read; nil without an index.
func (n *contentsFile) readerOf(x *zipfile.Index, err error) (*zipfile.Reader, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reader == nil {
		if x == nil || err != nil {
			return nil, err
		}
		if n.reader, err = zipfile.NewReader(x, n.at, n.fs.contents.memory); err != nil {
			return nil, err
		}
	}
	return n.reader, n.reader.Err()
}

// archive opens the archive. It waits for it as opening archive.zip does.
func (n *contentsFile) archive(ctx context.Context) (download.Archive, error) {
	for {
		a, err := n.contents.open()
		if !errors.Is(err, download.ErrNotReady) {
			return a, err
		}
		if err := n.contents.item.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// OnForget drops the reader and what it keeps.
func (n *contentsFile) OnForget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reader != nil && n.opens == 0 {
		n.reader.Forget()
	}
}

// closed undoes one open.
func (n *contentsFile) closed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.opens--; n.opens == 0 {
		n.reader.Idle()
	}
}

// contentsHandle is an open file of an archive.
type contentsHandle struct {
	file    *contentsFile
	reader  *zipfile.Reader
	archive download.Archive
	failures
}

var (
	_ fusefs.FileReader   = (*contentsHandle)(nil)
	_ fusefs.FileReleaser = (*contentsHandle)(nil)
	_ fusefs.FileLseeker  = (*contentsHandle)(nil)
	_ fusefs.FileFsyncer  = (*contentsHandle)(nil)
)

// Read answers from the archive's file if the bytes are stored there uncompressed and
// were verified. Otherwise it unpacks them.
func (h *contentsHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := min(int64(len(dest)), h.file.size-off)
	if n <= 0 {
		return reply(nil), 0
	}
	dest = dest[:n]
	if at, ok := h.reader.Plain(); ok && n <= maxSplice {
		if file, ok := h.archive.File(at+off, n); ok {
			return fuse.ReadResultFd(file.Fd(), at+off, int(n)), 0
		}
	}
	if errno := h.justFailed(off); errno != 0 {
		return nil, errno
	}
	work, stop := h.file.fs.interruptible(ctx)
	defer stop()
	began := time.Now()
	got, err := h.reader.ReadAt(work, archiveBytes{h.archive}, dest, off)
	h.file.contents.noticed(err)
	if err == nil && int64(got) < n {
		err = io.ErrUnexpectedEOF // the kernel would take a short reply for the end of the file
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if errors.Is(err, zipfile.ErrDamaged) {
			h.file.fs.log.Warn("file in an archive cannot be read", "op", "read", "download", h.file.contents.item.ID(), "err", err)
		}
		errno := h.file.fs.errno("read", h.file.contents.item.ID(), err)
		h.fail(off, n, began, errno)
		return nil, errno
	}
	return reply(dest), 0
}

// Lseek knows no holes.
func (h *contentsHandle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	return seekData(off, whence, h.file.size)
}

// Fsync has nothing to do.
func (h *contentsHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release closes the archive after the last read of this handle.
func (h *contentsHandle) Release(context.Context) syscall.Errno {
	h.file.closed()
	h.file.contents.close()
	h.file.fs.uses.Add(-1)
	return 0
}
