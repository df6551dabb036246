package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// statsName is found by its name only: who copies or searches the mount does not want
// it.
const statsName = ".stats"

// statsNode is .stats: figures about the whole mount, for programs.
type statsNode struct{ node }

var _ fusefs.NodeOpener = (*statsNode)(nil)

func (r *rootNode) lookupStats(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
	n := &statsNode{node{fs: r.fs}}
	n.self = n
	n.attributes().fillEntry(r.fs.owner, out)
	return r.NewInode(ctx, n, stableFile(inoStats))
}

// attributes reports the size that the text has now, as statusNode's do.
func (n *statsNode) attributes() attributes {
	return attributes{
		mode: n.fs.fileMode(), nlink: 1, size: int64(len(n.fs.stats())),
		created: n.fs.mounted, changed: n.fs.mounted,
		entry: settled,
	}
}

// Open fixes the text, and never waits.
func (n *statsNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{n.fs.stats()}, fuse.FOPEN_DIRECT_IO, 0
}
