package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
	"downloadfs/download/list"
)

// dropHandle is an open dropped file. As with the control file, the close after which
// its opener holds no descriptor to it asks for the download, so the writer is told
// what the server says. If there is no such close, RELEASE asks.
type dropHandle struct {
	listHandle
	node   *dropNode
	opener int
	append bool
	write  bool

	mu     sync.Mutex
	killed bool // guarded by mu: a signal ended the writer

	// The mu of node guards these. Another process may write the file anew before the
	// kernel sends the RELEASE of this handle, which must not ask for that.
	dirty bool        // something was written here, or could not be, since the last ask
	asked *submission // by this handle
}

var (
	_ fusefs.FileReader   = (*dropHandle)(nil)
	_ fusefs.FileWriter   = (*dropHandle)(nil)
	_ fusefs.FileFlusher  = (*dropHandle)(nil)
	_ fusefs.FileFsyncer  = (*dropHandle)(nil)
	_ fusefs.FileReleaser = (*dropHandle)(nil)
)

func (n *dropNode) open(ctx context.Context, flags uint32) *dropHandle {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened++
	n.used = time.Now()
	n.fs.uses.Add(1)
	return &dropHandle{node: n, opener: n.fs.caller(ctx).tgid, append: flags&syscall.O_APPEND != 0, write: flags&syscall.O_ACCMODE != syscall.O_RDONLY}
}

func (h *dropHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := h.node
	n.mu.Lock()
	defer n.mu.Unlock()
	size := int64(len(n.content))
	off = min(off, size)
	return fuse.ReadResultData(dest[:copy(dest, n.content[off:])]), 0
}

// Write keeps what is written, at any offset. What cannot be a list or a link fails the
// write at once, since a shell does not look whether the close fails.
func (h *dropHandle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n := h.node
	n.mu.Lock()
	defer n.mu.Unlock()
	h.dirty = true // also if this write fails: the close says why, too
	if h.append {
		off = int64(len(n.content))
	}
	end := off + int64(len(data))
	if end > download.MaxListBytes {
		err := download.Because(list.ErrTooLong, "%s: %s", download.Quote(n.name), list.ErrTooLong)
		n.failed = err
		n.fs.setListErr(err)
		return 0, n.fs.errno("write", "", err)
	}
	if err := n.judgeLocked(data, off); n.failed == nil {
		n.failed = err
	}
	if n.failed != nil {
		n.fs.setListErr(n.failed)
		return 0, n.fs.errno("write", "", n.failed)
	}
	if grow := end - int64(len(n.content)); grow > 0 {
		n.content = append(n.content, make([]byte, grow)...)
	}
	copy(n.content[off:], data)
	n.changed, n.used, n.asked = time.Now(), time.Now(), nil
	return uint32(len(data)), 0
}

// Flush asks for the download if it is the opener's last close.
func (h *dropHandle) Flush(ctx context.Context) syscall.Errno {
	f, pid := h.node.fs, callerPID(ctx)
	tgid := f.callers.tgid(pid)
	file := listFile{h.node.called(), h.node.StableAttr().Ino}
	closed := h.opener != 0 && f.callers.closed(file, h.opener, tgid, 0)
	killed := f.callers.killed(pid) && tgid == h.opener || f.callers.killed(h.opener)
	if h.opener == 0 { // the opener cannot be seen, see flushUnseen
		await(ctx, nil, dyingPatience)
		killed = ctx.Err() != nil
	}
	if killed {
		h.mu.Lock()
		h.killed = true
		h.mu.Unlock()
	}
	if !closed {
		return 0
	}
	return h.end(ctx, f.closePatience(pid))
}

// Fsync asks for the download and waits for the server's answer.
func (h *dropHandle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return h.end(ctx, fsyncPatience)
}

// end asks for the download of a file, unless the file is to be renamed first.
func (h *dropHandle) end(ctx context.Context, patience time.Duration) syscall.Errno {
	asked, err := h.ask()
	if asked != nil {
		err = asked.wait(ctx, h.node.fs, patience)
	}
	if err != nil {
		h.node.refuse()
	}
	return h.node.fs.errno("create", "", err)
}

func (h *dropHandle) ask() (*submission, error) {
	name := h.node.called()
	h.mu.Lock()
	killed := h.killed
	h.mu.Unlock()
	switch {
	case !h.write || kindOfDrop(name) != dropList:
		return nil, nil
	case killed:
		h.node.fs.setListErr(errKilled)
		return nil, errKilled
	}
	n := h.node
	n.mu.Lock()
	dirty, asked := h.dirty, h.asked
	h.dirty = false
	n.mu.Unlock()
	if !dirty {
		return asked, nil
	}
	asked, err := n.ask(h.opener, name)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.asked, h.dirty = asked, h.dirty || err != nil
	return asked, err
}

// Release asks for the download if no close has.
func (h *dropHandle) Release(context.Context) syscall.Errno {
	n := h.node
	_, err := h.ask()
	if err != nil {
		n.fs.log.Info("a dropped file is not a request list", "op", "create", "err", err)
		n.refuse()
	}
	n.fs.uses.Add(-1)
	n.mu.Lock()
	n.opened--
	n.used = time.Now()
	name, last := n.name, n.opened == 0 && !n.gone
	n.mu.Unlock()
	if last {
		n.fs.announce.leaves(name, n)
	}
	return 0
}

// called returns the file's name.
func (n *dropNode) called() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name
}
