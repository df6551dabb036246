package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// contentsDir is a directory inside an archive, or the root of the archive's tree.
// Opening the root, or looking up a name in it, waits for the archive as opening
// archive.zip does. The root's own attributes never wait.
type contentsDir struct {
	node
	fixedDir
	contents *contents
	at       zipfile.Node
	modified time.Time
}

var (
	_ fusefs.NodeLookuper       = (*contentsDir)(nil)
	_ fusefs.NodeOpendirHandler = (*contentsDir)(nil)
)

func newContentsDir(c *contents, at zipfile.Node, modified time.Time) *contentsDir {
	n := &contentsDir{node: node{fs: c.fs}, contents: c, at: at, modified: modified}
	n.self = n
	return n
}

// attributes reports one link: the subdirectories are not counted, and tools such as
// find know that 1 means so.
func (n *contentsDir) attributes() attributes {
	changed, valid := n.modified, settled
	if changed.IsZero() {
		if s := n.contents.item.Snapshot(); !s.Archive.ModifiedAt.IsZero() {
			changed = s.Archive.ModifiedAt
		} else {
			changed, valid = n.fs.when(s.CreatedAt), 0
		}
	}
	return attributes{
		mode: 0o555, nlink: 1,
		created: changed, changed: changed, valid: valid, entry: settled,
	}
}

// tree returns the index. It waits for it on behalf of the caller of op.
func (n *contentsDir) tree(ctx context.Context, op string) (*zipfile.Index, syscall.Errno) {
	if n.contents.stale() {
		return nil, syscall.ESTALE // the kernel looks the path up once more
	}
	x, err := n.contents.known()
	if x == nil && err == nil {
		if s := n.contents.item.Snapshot(); !s.Ready && !s.Status.Ended() && n.fs.windowed(ctx) {
			return nil, n.fs.errno(op, s.ID, download.ErrNotReady)
		}
		work, stop := n.fs.interruptible(ctx)
		defer stop()
		n.fs.uses.Add(1)
		defer n.fs.uses.Add(-1)
		x, err = n.contents.tree(work)
	}
	return x, n.fs.errno(op, n.contents.item.ID(), err)
}

func (n *contentsDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	if mark := n.lookupMark(ctx, name, out); mark != nil {
		return mark, 0
	}
	x, errno := n.tree(ctx, "lookup")
	if errno != 0 {
		return nil, errno
	}
	at, ok := x.Lookup(n.at, name)
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, x, at, out), 0
}

// lookupMark answers for the marks that tell desktops what to leave alone, unless the
// archive has a file of that name. It does not wait.
func (n *contentsDir) lookupMark(ctx context.Context, name string, out *fuse.EntryOut) *fusefs.Inode {
	if n.at != zipfile.Root || !isMark(name) {
		return nil
	}
	if x, _ := n.contents.known(); x != nil {
		if _, ok := x.Lookup(n.at, name); ok {
			return nil
		}
	}
	return lookupMark(ctx, n.fs, &n.Inode, name, out)
}

// child returns the inode of a node in the directory. If the kernel knows the node
// already, it is that inode.
func (n *contentsDir) child(ctx context.Context, x *zipfile.Index, at zipfile.Node, out *fuse.EntryOut) *fusefs.Inode {
	info := x.Info(at)
	attr := fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: contentsInode(n.contents.item.Serial(), at), Gen: n.contents.version}
	if info.Dir {
		attr.Mode = syscall.S_IFDIR
	}
	child := n.GetChild(info.Name)
	if child == nil || child.StableAttr().Ino != attr.Ino {
		var embedder fusefs.InodeEmbedder
		if info.Dir {
			embedder = newContentsDir(n.contents, at, info.Modified)
		} else {
			embedder = newContentsFile(n.contents, at, info)
		}
		child = n.NewInode(ctx, embedder, attr)
	}
	child.Operations().(attributer).attributes().fillEntry(n.fs.owner, out)
	return child
}

func (n *contentsDir) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	x, errno := n.tree(ctx, "opendir")
	if errno != 0 {
		return nil, 0, errno
	}
	return &contentsDirHandle{dir: n, index: x, list: x.List()}, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, 0
}

// contentsDirHandle lists a directory straight from the index, because the directory
// may hold millions of files. Positions are made of node numbers.
type contentsDirHandle struct {
	dir   *contentsDir
	index *zipfile.Index
	list  *zipfile.List
	last  uint64 // the position last returned
	made  int    // inodes
}

var (
	_ fusefs.FileReaddirenter = (*contentsDirHandle)(nil)
	_ fusefs.FileSeekdirer    = (*contentsDirHandle)(nil)
	_ fusefs.FileLookuper     = (*contentsDirHandle)(nil)
	_ fusefs.FileFsyncdirer   = (*contentsDirHandle)(nil)
)

// These are the positions after "." and "..". The position after a node is its number
// plus afterDotDot.
const (
	afterDot    = 1
	afterDotDot = 2
)

// maxListedInodes is for how many files of a directory a listing makes inodes in
// advance, as ls -l needs them. Each takes some hundred bytes here and a thousand in
// the kernel. Callers must look up the files beyond it one by one.
const maxListedInodes = 20_000

// Readdirent returns the next entry; go-fuse serializes the calls of a handle.
func (h *contentsDirHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	d, serial := h.dir, h.dir.contents.item.Serial()
	switch h.last {
	case 0:
		h.last = afterDot
		return &fuse.DirEntry{Name: ".", Ino: d.StableAttr().Ino, Mode: syscall.S_IFDIR, Off: h.last}, 0
	case afterDot:
		h.last = afterDotDot
		parent := uint64(inoTrees)
		if d.at != zipfile.Root {
			parent = contentsInode(serial, h.index.Parent(d.at))
		}
		return &fuse.DirEntry{Name: "..", Ino: parent, Mode: syscall.S_IFDIR, Off: h.last}, 0
	}
	at, ok := h.next()
	if !ok {
		return nil, 0
	}
	info := h.list.Info(at)
	h.last = uint64(at) + afterDotDot
	e := &fuse.DirEntry{Name: info.Name, Ino: contentsInode(serial, at), Mode: syscall.S_IFREG, Off: h.last}
	if info.Dir {
		e.Mode = syscall.S_IFDIR
	}
	return e, 0
}

// next returns the node after the position last returned.
func (h *contentsDirHandle) next() (zipfile.Node, bool) {
	if h.last == afterDotDot {
		return h.list.First(h.dir.at)
	}
	return h.list.Next(zipfile.Node(h.last - afterDotDot))
}

// Seekdir goes back to a position returned before.
func (h *contentsDirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > afterDotDot {
		if at := off - afterDotDot; at >= uint64(h.index.Nodes()) || h.index.Parent(zipfile.Node(at)) != h.dir.at {
			return syscall.EINVAL
		}
	}
	h.last = off
	return 0
}

// Lookup answers for the entry that Readdirent returned last. If it answers ENOENT,
// the kernel still lists the entry, but without an inode.
func (h *contentsDirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if h.last <= afterDotDot || h.made == maxListedInodes {
		return nil, syscall.ENOENT
	}
	at := zipfile.Node(h.last - afterDotDot)
	if h.list.Info(at).Name != name {
		return nil, syscall.ENOENT
	}
	h.made++
	return h.dir.child(ctx, h.index, at, out), 0
}

// Fsyncdir has nothing to do.
func (h *contentsDirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
