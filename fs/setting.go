package fs

import (
	"context"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Setting is something that the user of a mount can change while it is mounted. It is
// a file whose line is the value. Its methods do not block.
type Setting interface {
	// Text returns the value, without a line break.
	Text() string
	// Set changes it. An error means that it is not changed.
	Set(text string) error
}

// bandwidthName is found by its name only, like .stats.
const bandwidthName = ".bandwidth"

// maxSetting is how long a value may be.
const maxSetting = 64

// settingNode is the file of a setting.
type settingNode struct {
	node
	setting Setting
}

var (
	_ fusefs.NodeOpener    = (*settingNode)(nil)
	_ fusefs.NodeSetattrer = (*settingNode)(nil)
)

func (r *rootNode) lookupBandwidth(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
	n := &settingNode{node{fs: r.fs}, r.fs.bandwidth}
	n.self = n
	n.attributes().fillEntry(r.fs.owner, out)
	return r.NewInode(ctx, n, stableFile(inoBandwidth))
}

func (n *settingNode) text() []byte { return []byte(n.setting.Text() + "\n") }

func (n *settingNode) attributes() attributes {
	return attributes{
		mode: n.fs.fileMode(), nlink: 1, size: int64(len(n.text())),
		created: n.fs.mounted, changed: n.fs.mounted,
		entry: settled,
	}
}

// Setattr accepts what a shell does before it writes: it cuts the file to nothing.
func (n *settingNode) Setattr(ctx context.Context, fh fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && size == 0 && n.fs.mine(ctx) {
		in.Valid &^= fuse.FATTR_SIZE
		in.Valid &^= fuse.FATTR_MTIME | fuse.FATTR_CTIME | fuse.FATTR_ATIME
	}
	return n.node.Setattr(ctx, fh, in, out)
}

func (n *settingNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) && !n.fs.mine(ctx) {
		return nil, 0, syscall.EACCES
	}
	return &settingHandle{textHandle: textHandle{n.text()}, node: n}, fuse.FOPEN_DIRECT_IO, 0
}

// settingHandle is the open file of a setting.
type settingHandle struct {
	textHandle
	node *settingNode

	mu      sync.Mutex // guards what follows
	written []byte     // what is not set yet
}

var (
	_ fusefs.FileWriter  = (*settingHandle)(nil)
	_ fusefs.FileFlusher = (*settingHandle)(nil)
)

// Write sets the value when its line is complete, so that a shell's echo fails if the
// value is wrong: it does not look at what closing returns.
func (h *settingHandle) Write(_ context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.written)+len(data) > maxSetting {
		h.written = nil
		return 0, syscall.EINVAL
	}
	h.written = append(h.written, data...)
	if data[len(data)-1] == '\n' {
		if errno := h.set(); errno != 0 {
			return 0, errno
		}
	}
	return uint32(len(data)), 0
}

// Flush sets a value without a line break.
func (h *settingHandle) Flush(context.Context) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.set()
}

// set sets what was written; mu is held.
func (h *settingHandle) set() syscall.Errno {
	if len(h.written) == 0 {
		return 0
	}
	text := string(h.written)
	h.written = nil
	if err := h.node.setting.Set(text); err != nil {
		h.node.fs.log.Warn("value refused", "op", "write", "name", bandwidthName, "err", err)
		return syscall.EINVAL
	}
	return 0
}
