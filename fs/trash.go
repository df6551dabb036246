package fs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// There is no trash here. GIO finds that out: it cannot make a trash directory, and
// its file managers then offer to delete for good. KIO moves what it deletes into the
// trash of the home directory, which means that it copies what it finds, and removes it
// here. It also does so if there is a trash directory here, because it looks for one
// only on devices that it knows.
//
// So what KIO's worker for the trash does not find is not copied. It does not find an
// archive that is not ready: Delete cancels the download at once, and the request list is
// in the trash. docs/trash.md says why.

// trashing reports whether the caller is KIO's worker for the trash. It copies files on
// a thread of its own.
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

// goesToTrash reports whether KIO's worker for the trash finds a file.
func (n *entryNode) goesToTrash(k kind) bool {
	switch k {
	case kindArchive:
		return n.item.Snapshot().Ready
	case kindContents: // a link into the mount
		return false
	}
	return true
}
