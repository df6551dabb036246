package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// textNode is a file whose text never changes.
type textNode struct {
	node
	text []byte
}

var _ fusefs.NodeOpener = (*textNode)(nil)

func newTextNode(f *filesystem, text []byte) *textNode {
	n := &textNode{node{fs: f}, text}
	n.self = n
	return n
}

func (n *textNode) attributes() attributes {
	return attributes{
		mode: n.fs.fileMode() &^ 0o222, nlink: 1, size: int64(len(n.text)),
		created: n.fs.mounted, changed: n.fs.mounted,
		valid: settled, entry: settled,
	}
}

func (n *textNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{n.text}, fuse.FOPEN_KEEP_CACHE, 0
}

// textHandle is an open file whose text was fixed when it was opened.
type textHandle struct{ text []byte }

var (
	_ fusefs.FileReader  = textHandle{}
	_ fusefs.FileFsyncer = textHandle{}
)

func (h textHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	size := int64(len(h.text))
	return reply(h.text[min(off, size):min(off+int64(len(dest)), size)]), 0
}

// Fsync has nothing to do.
func (h textHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// writing reports whether a file is opened to change it.
func writing(flags uint32) bool {
	return flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0
}
