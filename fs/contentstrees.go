package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// treeKept is how long the kernel may keep the name of a tree. A program that names
// files by their whole paths, such as cp, looks it up twice for each file. A download
// has the same id for good, but it can be removed.
const treeKept = time.Second

// treesNode is downloads/.contents. It holds what is inside each archive, under the id
// of its download. It lists nothing.
type treesNode struct {
	node
	fixedDir
}

var (
	_ fusefs.NodeLookuper       = (*treesNode)(nil)
	_ fusefs.NodeOpendirHandler = (*treesNode)(nil)
)

func newTreesNode(f *filesystem) *treesNode {
	n := &treesNode{node: node{fs: f}}
	n.self = n
	return n
}

func (n *treesNode) attributes() attributes {
	return attributes{
		mode: 0o555, nlink: 2,
		created: n.fs.mounted, changed: n.fs.mounted,
		valid: settled, entry: settled,
	}
}

// Lookup never waits, because looking at a link leads here.
func (n *treesNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d, ok := n.fs.domain.Find(download.ID(name))
	if !ok {
		return nil, syscall.ENOENT
	}
	c := n.fs.contents.of(d)
	attr := fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: contentsInode(d.Serial(), 0), Gen: c.version}
	child := n.GetChild(name)
	if child == nil || child.StableAttr() != attr {
		child = n.NewInode(ctx, newContentsDir(c, 0, d.Snapshot().Archive.ModifiedAt), attr)
	}
	child.Operations().(attributer).attributes().fillEntry(n.fs.owner, out)
	out.SetEntryTimeout(treeKept)
	return child, 0
}

func (n *treesNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return newDirHandle(func() []dirEntry { return dots(inoTrees, inoDownloads) }, nil), 0, 0
}
