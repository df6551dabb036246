package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// rootNode is the mount point: README and downloads/, and in no listing .stats and
// .bandwidth.
type rootNode struct {
	node
	fixedDir
	readme    *textNode
	cacheTag  *textNode
	downloads *downloadsNode
}

var (
	_ fusefs.NodeOnAdder        = (*rootNode)(nil)
	_ fusefs.NodeLookuper       = (*rootNode)(nil)
	_ fusefs.NodeOpendirHandler = (*rootNode)(nil)
)

func newRootNode(f *filesystem) *rootNode {
	r := &rootNode{node: node{fs: f}, readme: newTextNode(f, readme), cacheTag: newTextNode(f, []byte(cacheTag)), downloads: newDownloadsNode(f)}
	r.self = r
	return r
}

// OnAdd makes the inodes of what is always there, before the first request. Two
// concurrent lookups must not each make an inode of the same node.
func (r *rootNode) OnAdd(ctx context.Context) {
	r.NewPersistentInode(ctx, r.readme, stableFile(inoReadme))
	r.NewPersistentInode(ctx, r.cacheTag, stableFile(inoCacheTag))
	r.NewPersistentInode(ctx, r.downloads, stableDir(inoDownloads))
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
	case statsName:
		if r.fs.stats != nil {
			return r.lookupStats(ctx, out), 0
		}
	case bandwidthName:
		if r.fs.bandwidth != nil {
			return r.lookupBandwidth(ctx, out), 0
		}
	case cacheTagName:
		r.cacheTag.attributes().fillEntry(r.fs.owner, out)
		return r.cacheTag.EmbeddedInode(), 0
	}
	if isMark(name) {
		return lookupMark(ctx, r.fs, &r.Inode, name, out), 0
	}
	return nil, syscall.ENOENT
}

func (r *rootNode) lookupReadme(_ context.Context, out *fuse.EntryOut) *fusefs.Inode {
	r.readme.attributes().fillEntry(r.fs.owner, out)
	return r.readme.EmbeddedInode()
}

func (r *rootNode) lookupDownloads(_ context.Context, out *fuse.EntryOut) *fusefs.Inode {
	r.downloads.attributes().fillEntry(r.fs.owner, out)
	return r.downloads.EmbeddedInode()
}

func (r *rootNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return newDirHandle(r.list, nil), 0, 0
}

func (r *rootNode) list() []dirEntry {
	return append(dots(inoRoot, inoRoot),
		dirEntry{readmeName, stableFile(inoReadme), r.lookupReadme},
		dirEntry{downloadsName, stableDir(inoDownloads), r.lookupDownloads})
}
