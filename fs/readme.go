package fs

import (
	"context"
	_ "embed"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const readmeName = "README"

//go:embed README.txt
var readme []byte

// readmeNode is README: how to use the mount, on one screen.
type readmeNode struct{ node }

var _ fusefs.NodeOpener = (*readmeNode)(nil)

func newReadmeNode(f *filesystem) *readmeNode {
	n := &readmeNode{node{fs: f}}
	n.self = n
	return n
}

func (n *readmeNode) attributes() attributes {
	return attributes{
		mode: n.fs.fileMode(), nlink: 1, size: int64(len(readme)),
		created: n.fs.mounted, changed: n.fs.mounted,
		valid: settled, entry: settled,
	}
}

func (n *readmeNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{readme}, fuse.FOPEN_KEEP_CACHE, 0
}
