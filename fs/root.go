package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// rootNode is the mount point: README and downloads/.
type rootNode struct {
	node
	fixedDir
	readme    *readmeNode
	downloads *downloadsNode
}

var (
	_ fusefs.NodeLookuper       = (*rootNode)(nil)
	_ fusefs.NodeOpendirHandler = (*rootNode)(nil)
)

func newRootNode(f *filesystem) *rootNode {
	r := &rootNode{node: node{fs: f}, readme: newReadmeNode(f), downloads: newDownloadsNode(f)}
	r.self = r
	return r
}

func (r *rootNode) attributes() attributes {
	return attributes{
		mode: r.fs.dirMode(), nlink: 3,
		created: r.fs.mounted, changed: r.fs.mounted,
		valid: settled, entry: settled,
	}
}

func (r *rootNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	switch name {
	case readmeName:
		return r.lookupReadme(ctx, out), 0
	case downloadsName:
		return r.lookupDownloads(ctx, out), 0
	}
	return nil, syscall.ENOENT
}

func (r *rootNode) lookupReadme(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
	r.readme.attributes().fillEntry(r.fs.owner, out)
	return r.NewInode(ctx, r.readme, stableFile(inoReadme))
}

func (r *rootNode) lookupDownloads(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
	r.downloads.attributes().fillEntry(r.fs.owner, out)
	return r.NewInode(ctx, r.downloads, stableDir(inoDownloads))
}

func (r *rootNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return newDirHandle(r.list, nil), 0, 0
}

func (r *rootNode) list() []dirEntry {
	return append(dots(inoRoot, inoRoot),
		dirEntry{readmeName, stableFile(inoReadme), r.lookupReadme},
		dirEntry{downloadsName, stableDir(inoDownloads), r.lookupDownloads})
}
