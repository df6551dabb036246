package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// controlNode is the control file. A list written to it becomes a download. Each open
// handle has a list of its own.
type controlNode struct {
	listNode

	mu      sync.Mutex // guards what follows and the released of handles
	handles map[*controlHandle]struct{}
	unseen  map[*controlHandle]struct{} // handles of unseen openers, until they are answered
	absent  map[caller]time.Time        // the callers that replace the file, and since when; see replace
}

var (
	_ fusefs.NodeOpener    = (*controlNode)(nil)
	_ fusefs.NodeSetattrer = (*controlNode)(nil)
)

func newControlNode(f *filesystem) *controlNode {
	n := &controlNode{listNode: listNode{node{fs: f}}, handles: make(map[*controlHandle]struct{}), unseen: make(map[*controlHandle]struct{})}
	n.self = n
	return n
}

func (n *controlNode) attributes() attributes {
	return attributes{
		mode: 0o600, nlink: 1, size: int64(len(n.fs.outcome())),
		created: n.fs.mounted, changed: n.fs.lastTouched(),
		entry: settled,
	}
}

// Setattr accepts everything that tools do to a file besides writing it (cp -p,
// rsync, install, editors), and changes nothing. If it failed, the user would try
// again and so ask twice. Truncation to nothing starts the handle's list anew.
// Truncation to less than was written is impossible: it fails and ends the list.
func (n *controlNode) Setattr(ctx context.Context, fh fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	if size, ok := in.GetSize(); ok {
		if h, ok := fh.(*controlHandle); ok {
			if errno := h.truncate(size); errno != 0 {
				return errno
			}
		}
	}
	in.Valid = 0
	return n.node.Setattr(ctx, fh, in, out)
}

// Open starts a list, or a view of the latest outcome.
func (n *controlNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if !n.fs.mine(ctx) {
		return nil, 0, syscall.EACCES
	}
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		n.settle(ctx, fsyncPatience)
	}
	h := newControlHandle(n, n.fs.caller(ctx).tgid, flags&syscall.O_APPEND != 0)
	h.unseen = n.fs.newUnseen(ctx, h.opener)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handles[h] = struct{}{}
	n.fs.uses.Add(1)
	if h.unseen != nil {
		n.unseen[h] = struct{}{}
	}
	return h, fuse.FOPEN_DIRECT_IO, 0
}

func (n *controlNode) forget(h *controlHandle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.handles, h)
	n.fs.uses.Add(-1)
}

// release notes that h's opener no longer holds a descriptor to it.
func (n *controlNode) release(h *controlHandle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h.released = true
}

// others counts the handles that a process has opened and still holds, except h.
func (n *controlNode) others(h *controlHandle) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for other := range n.handles {
		if other != h && other.opener == h.opener && !other.released {
			count++
		}
	}
	return count
}

// replacePatience is how long a caller that has unlinked the control file does not
// find it.
const replacePatience = 5 * time.Second

// replace makes the control file absent for a caller that unlinks it to make another
// one in its place. install, mv and cp --remove-destination do so.
func (n *controlNode) replace(who caller) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other, since := range n.absent {
		if time.Since(since) > replacePatience {
			delete(n.absent, other)
		}
	}
	if n.absent == nil {
		n.absent = make(map[caller]time.Time)
	}
	n.absent[who] = time.Now()
}

// replacedBy reports whether the control file is absent for who.
func (n *controlNode) replacedBy(who caller) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	since, ok := n.absent[who]
	return ok && time.Since(since) <= replacePatience
}

// replaced makes the control file present again for who.
func (n *controlNode) replaced(who caller) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.absent, who)
}

// outcome returns what a fresh reader of the control file sees: the id of the latest
// download, or why there is none.
func (f *filesystem) outcome() []byte {
	f.mu.Lock()
	err, id := f.listErr, f.again
	f.mu.Unlock()
	if err == nil && id == "" {
		id, err = f.domain.LastOutcome()
	}
	switch {
	case err != nil:
		return []byte("error: " + line(err.Error()) + "\n")
	case id != "":
		return []byte(string(id) + "\n")
	}
	return nil
}

// setListErr remembers why a list never became a request. A nil error forgets it.
func (f *filesystem) setListErr(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listErr, f.again = err, ""
}

// setAgain remembers that the latest list was answered with a download that already
// existed.
func (f *filesystem) setAgain(id download.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listErr, f.again = nil, id
}
