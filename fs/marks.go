package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// marks are the names of empty files that tell desktops not to index a directory or
// make thumbnails of what is in it: Spotlight and QuickLook, Tracker, and Android's
// media scanner. A lookup finds them, but no listing has them.
var marks = []string{".metadata_never_index", ".ql_disablethumbnails", ".ql_disablecache", ".trackerignore", ".nomedia"}

func isMark(name string) bool { return slices.Contains(marks, name) }

// markNode is one of the marks.
type markNode struct{ node }

var _ fusefs.NodeOpener = (*markNode)(nil)

// lookupMark returns the inode of a mark in parent.
func lookupMark(ctx context.Context, f *filesystem, parent *fusefs.Inode, name string, out *fuse.EntryOut) *fusefs.Inode {
	n := &markNode{node{fs: f}}
	n.self = n
	ino := inoMarks + uint64(slices.Index(marks, name))
	n.attributes().fillEntry(f.owner, out)
	return parent.NewInode(ctx, n, stableFile(ino))
}

// attributes are not kept long: the archive may have a file of that name.
func (n *markNode) attributes() attributes {
	return attributes{mode: 0o444, nlink: 1, created: n.fs.mounted, changed: n.fs.mounted}
}

func (n *markNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{}, 0, 0
}
