package fs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// errKilled: the process that wrote a request list died of a signal before it ended the
// list.
var errKilled = errors.New("the process that wrote the request list was killed")

// controlHandle is one open file description of the control file.
//
// The kernel sends FLUSH for every close of every duplicate of a descriptor: a
// shell's echo x > new flushes before it writes, and { cat a; cat b; } > new when
// each cat exits. The list ends with the FLUSH after which the process that opened
// the file holds no descriptor to it. So close(2) can return what the server says. If
// no FLUSH ends it, or that cannot be seen, the list ends with RELEASE, which comes
// when no process holds a descriptor.
type controlHandle struct {
	listHandle
	node   *controlNode
	opener int // the process that opened it; 0 if not visible
	append bool
	unseen *unseen // nil if the opener's descriptors can be seen

	released bool // guarded by node.mu: the opener has closed it

	mu     sync.Mutex // guards what follows; not held while the list is submitted
	list   *listReader
	asked  *submission // the latest list that ended, until a caller was told its outcome
	length int64       // bytes of the list so far
	next   int64       // where the next write must start
	writer int         // the process that wrote last
	err    error       // why the list is refused, whatever follows
	wrote  bool        // a list was written here, so reading tells its outcome
	answer []byte
	read   int  // how much of answer was read
	fixed  bool // answer is a fresh reader's
}

var (
	_ fusefs.FileReader   = (*controlHandle)(nil)
	_ fusefs.FileWriter   = (*controlHandle)(nil)
	_ fusefs.FileFlusher  = (*controlHandle)(nil)
	_ fusefs.FileFsyncer  = (*controlHandle)(nil)
	_ fusefs.FileReleaser = (*controlHandle)(nil)
)

func newControlHandle(n *controlNode, opener int, appending bool) *controlHandle {
	return &controlHandle{node: n, opener: opener, append: appending, list: n.fs.newListReader()}
}

// Write adds to the list. An entry that cannot be valid fails the write at once, and
// with it the whole list.
func (h *controlHandle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	writer := h.node.fs.callers.tgid(callerPID(ctx))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writer = writer
	if h.unseen != nil {
		h.unseen.closing = false
	}
	if !h.wrote {
		h.wrote, h.answer = true, nil
	}
	if h.err == nil {
		if h.length > 0 && off != h.next && !h.append {
			h.err = download.Because(download.ErrInvalid, "the request list was written out of order, at %d instead of %d; write it from start to end", off, h.next)
		} else if _, err := h.list.Write(data); err != nil {
			h.err = err
		}
	}
	if h.err != nil {
		h.node.fs.setListErr(h.err)
		return 0, h.node.fs.errno("write", "", h.err)
	}
	h.length += int64(len(data))
	h.next = off + int64(len(data))
	return uint32(len(data)), 0
}

// Flush ends the list if it is the opener's last close.
func (h *controlHandle) Flush(ctx context.Context) syscall.Errno {
	if h.unseen != nil {
		return h.flushUnseen(ctx)
	}
	pid := callerPID(ctx)
	tgid := h.node.fs.callers.tgid(pid)
	closed := h.node.fs.callers.closed(listFile{download.ControlFile, inoControl}, h.opener, tgid, h.node.others(h))
	h.abandonIfKilled(pid, tgid) // after closed, because an opener may die in between
	if !closed {
		return 0
	}
	h.node.release(h)
	return h.submit(ctx, h.node.fs.closePatience(pid))
}

// abandonIfKilled gives the list up if the process that was writing it, or the one
// that opened it, is dying of a signal: the user did not mean to ask for only a part.
// An exit looks the same as a close, so without this a Ctrl-C during cat > new would
// zip the first half. The opener is checked in every FLUSH. If it dies together with
// its children, their FLUSH may come first and find that the opener holds no
// descriptor any more.
func (h *controlHandle) abandonIfKilled(pid, tgid int) {
	h.mu.Lock()
	begun, involved := h.length > 0, tgid == h.opener || tgid == h.writer
	h.mu.Unlock()
	callers := h.node.fs.callers
	if !begun || !(involved && callers.killed(pid)) && !callers.killed(h.opener) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = errKilled
	}
}

// Fsync ends the list and waits for the server's answer.
func (h *controlHandle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return h.submit(ctx, fsyncPatience)
}

// Release ends a list that no FLUSH has ended. It does not wait, because nobody sees
// its errno and the mount cannot end before it returns.
func (h *controlHandle) Release(context.Context) syscall.Errno {
	f := h.node.fs
	h.node.forget(h)
	if h.unseen != nil {
		defer close(h.unseen.released)
	}
	asked, err := h.end()
	f.work.Go(func() {
		if h.unseen != nil {
			defer h.node.answered(h)
		}
		if asked != nil {
			<-asked.done
			err = asked.err
		}
		if errno := f.errno("create", "", err); errno != 0 && f.ctx.Err() == nil {
			f.log.Warn("a request list was refused after its last writer had gone", "op", "create", "errno", errno.Error())
		}
	})
	return 0
}

// truncate throws away what was written since the last list ended. It does nothing
// for a size that the list has or may still reach. It cannot cut a list off in the
// middle: then it fails, and the list fails too.
func (h *controlHandle) truncate(size uint64) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case size == 0:
		h.takeLocked()
	case size < uint64(h.length):
		if h.err == nil {
			h.err = download.Because(download.ErrInvalid, "the request list of %d bytes was cut off after %d; write it again", h.length, size)
		}
		h.node.fs.setListErr(h.err)
		return h.node.fs.errno("truncate", "", h.err)
	}
	return 0
}

// takeLocked returns the list and begins a new one.
func (h *controlHandle) takeLocked() (*listReader, error) {
	written, err := h.list, h.err
	h.list, h.length, h.next, h.writer, h.err = h.node.fs.newListReader(), 0, 0, 0, nil
	return written, err
}

// submit ends the list and waits for its outcome, at most for patience.
func (h *controlHandle) submit(ctx context.Context, patience time.Duration) syscall.Errno {
	f := h.node.fs
	asked, err := h.end()
	if asked != nil {
		err = asked.wait(ctx, f, patience)
		h.told(asked)
	}
	return f.errno("create", "", err)
}

// end ends the list by asking for the download. A list without entries asks for
// nothing. Then end returns the previous list if nobody was told its outcome yet, or
// nil.
func (h *controlHandle) end() (*submission, error) {
	h.mu.Lock()
	parser, err := h.takeLocked()
	asked := h.asked
	h.mu.Unlock()
	f := h.node.fs
	var list download.List
	if err == nil {
		list, err = parser.Finish(strings.TrimSuffix(string(f.outcome()), "\n"))
	}
	switch {
	case err != nil:
		f.setListErr(err)
		h.mu.Lock()
		h.setAnswerLocked("", err)
		h.mu.Unlock()
		if errors.Is(err, errKilled) {
			f.log.Warn("a request list was given up", "op", "create", "err", err)
		}
		return nil, err
	case len(list.Entries) > 0:
		f.setListErr(nil)
		return h.ask(list), nil
	}
	return asked, nil
}

func (h *controlHandle) setAnswerLocked(id download.ID, err error) {
	h.answer, h.read = []byte(string(id)+"\n"), 0
	if err != nil {
		h.answer = []byte("error: " + line(err.Error()) + "\n")
	}
}

// Read on a handle that was written to ends the list and tells its outcome. The
// outcome is read once, from wherever the writing left the file's position. On a
// fresh handle Read tells the latest outcome.
func (h *controlHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.mu.Lock()
	wrote := h.wrote
	h.mu.Unlock()
	if !wrote {
		return h.readOutcome(dest, off), 0
	}
	if errno := h.submit(ctx, forEver); errno != 0 {
		return nil, errno
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.node.fs.answers.tell(h.answer)
	n := copy(dest, h.answer[h.read:])
	h.read += n
	return reply(dest[:n]), 0
}

// readOutcome reads the latest outcome as it was at the first read.
func (h *controlHandle) readOutcome(dest []byte, off int64) fuse.ReadResult {
	text := h.node.fs.outcome()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fixed || off == 0 {
		h.answer, h.fixed = text, true
		h.node.fs.answers.tell(text)
	}
	size := int64(len(h.answer))
	return reply(h.answer[min(off, size):min(off+int64(len(dest)), size)])
}
