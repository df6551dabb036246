package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// fixedDir refuses to make, change or remove any name in a directory. The directories
// embed it and override what they allow. Without it the kernel would be told that the
// operation succeeded, or that the file system is read-only.
type fixedDir struct{}

var (
	_ fusefs.NodeCreater   = fixedDir{}
	_ fusefs.NodeMknoder   = fixedDir{}
	_ fusefs.NodeMkdirer   = fixedDir{}
	_ fusefs.NodeLinker    = fixedDir{}
	_ fusefs.NodeSymlinker = fixedDir{}
	_ fusefs.NodeUnlinker  = fixedDir{}
	_ fusefs.NodeRmdirer   = fixedDir{}
	_ fusefs.NodeRenamer   = fixedDir{}
)

func (fixedDir) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EPERM
}

func (fixedDir) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (fixedDir) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (fixedDir) Link(context.Context, fusefs.InodeEmbedder, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (fixedDir) Symlink(context.Context, string, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (fixedDir) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

func (fixedDir) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rename answers EPERM and not EXDEV. After EXDEV mv would start to copy.
func (fixedDir) Rename(context.Context, string, fusefs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EPERM
}

// readOnlyDir is a fixedDir whose permissions seem to forbid making anything in it.
// Programs understand that.
type readOnlyDir struct{ fixedDir }

func (readOnlyDir) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EACCES
}

func (readOnlyDir) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EACCES
}

func (readOnlyDir) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EACCES
}

func (readOnlyDir) Link(context.Context, fusefs.InodeEmbedder, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EACCES
}

func (readOnlyDir) Symlink(context.Context, string, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EACCES
}

// dirEntry is a name in a listing and its node.
type dirEntry struct {
	name string
	attr fusefs.StableAttr
	node func(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode
}

// dirHandle is an open directory. It lists what was there when it was opened or
// rewound. So entries that come and go meanwhile shift nothing, and a position stays
// valid.
type dirHandle struct {
	list    func() []dirEntry
	listing func(ctx context.Context) // called for a caller that reads it, not one that only opens it; may be nil
	entries []dirEntry
	next    int
}

var (
	_ fusefs.FileReaddirenter = (*dirHandle)(nil)
	_ fusefs.FileSeekdirer    = (*dirHandle)(nil)
	_ fusefs.FileLookuper     = (*dirHandle)(nil)
	_ fusefs.FileFsyncdirer   = (*dirHandle)(nil)
)

func newDirHandle(list func() []dirEntry, listing func(context.Context)) *dirHandle {
	return &dirHandle{list: list, listing: listing, entries: list()}
}

// Readdirent returns the next entry; go-fuse serializes the calls of a handle.
func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if d.next >= len(d.entries) {
		return nil, 0
	}
	if d.next == 0 && d.listing != nil {
		d.listing(ctx)
	}
	e := d.entries[d.next]
	d.next++
	return &fuse.DirEntry{Name: e.name, Ino: e.attr.Ino, Mode: e.attr.Mode, Off: uint64(d.next)}, 0
}

// Seekdir goes back to a position returned before. 0 lists anew, as rewinddir(3)
// requires.
func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(len(d.entries)) {
		return syscall.EINVAL
	}
	if off == 0 {
		d.entries = d.list()
	}
	d.next = int(off)
	return 0
}

// Lookup answers for the entry that Readdirent returned last.
func (d *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if d.next == 0 || d.entries[d.next-1].name != name {
		return nil, syscall.ENOENT
	}
	return d.entries[d.next-1].node(ctx, out), 0
}

// Fsyncdir has nothing to do.
func (d *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

// dots are the first two entries of every listing.
func dots(self, parent uint64) []dirEntry {
	return []dirEntry{
		{name: ".", attr: stableDir(self)},
		{name: "..", attr: stableDir(parent)},
	}
}
