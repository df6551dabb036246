package fs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// There is no trash here. GIO finds that out: it cannot make a trash directory, and
// its file managers then offer to delete for good. KIO moves what it deletes into the
// trash of the home directory, which means that it copies the archive, and waits for it
// first. It also does so if there is a trash directory here, because it looks for one
// only on devices that it knows.
//
// But it first adds up the sizes of what is in the directory, and asks whether to
// delete for good what is too large for the trash. So it sees one huge file more.

// hugeName has no dot: KIO does not count what is hidden.
const hugeName = "too-large-for-the-trash"

// hugeSize is more than a tenth of any disk, and several of them can be added up.
const hugeSize = 1 << 58

// trashing reports whether the caller is KIO's worker for the trash.
func (f *filesystem) trashing(ctx context.Context) bool {
	pid := callerPID(ctx)
	isTrash := func(name string) bool {
		return slices.Contains([]string{"trash.so", "kio_trash.so", "kio_trash"}, filepath.Base(name))
	}
	if isTrash(f.callers.name(pid)) {
		return true
	}
	if program := f.callers.program(pid); !strings.HasPrefix(program, "kio") {
		return false
	}
	return slices.ContainsFunc(f.callers.args(pid), isTrash)
}

// hugeNode is the huge file. It has no bytes.
type hugeNode struct{ node }

var _ fusefs.NodeOpener = (*hugeNode)(nil)

// huge is the huge file in the listing of parent.
func (f *filesystem) huge(parent *fusefs.Inode) dirEntry {
	return dirEntry{hugeName, stableFile(inoHuge), func(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
		n := &hugeNode{node{fs: f}}
		n.self = n
		n.attributes().fillEntry(f.owner, out)
		return parent.NewInode(ctx, n, stableFile(inoHuge))
	}}
}

func (n *hugeNode) attributes() attributes {
	return attributes{mode: 0o400, nlink: 1, size: hugeSize, pending: true, created: n.fs.mounted, changed: n.fs.mounted}
}

func (n *hugeNode) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, syscall.EACCES
}
