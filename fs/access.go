package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// These are the bits of access(2)'s mask.
const (
	accessExecute = 1
	accessWrite   = 2
)

// access answers access(2). The kernel sends it only without default_permissions.
// Every caller that gets here may see the file system.
func (f *filesystem) access(ctx context.Context, mode uint32, dir bool, mask uint32) syscall.Errno {
	if mask&accessExecute != 0 && !dir {
		return syscall.EACCES
	}
	if f.mine(ctx) {
		mode >>= 6
		if mask&accessWrite != 0 && mode&2 == 0 {
			return syscall.EACCES
		}
		return 0
	}
	if mask&^mode&7 != 0 {
		return syscall.EACCES
	}
	return 0
}

// mine reports whether the caller may change things: the user who mounted the file
// system may, and root. The kernel checks too, but with --allow-other its check is
// not enough.
func (f *filesystem) mine(ctx context.Context) bool {
	c, ok := fuse.FromContext(ctx)
	return ok && (c.Uid == f.owner.uid || c.Uid == 0)
}
