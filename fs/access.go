package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The bits of access(2)'s mask.
const (
	accessExecute = 1
	accessWrite   = 2
)

// access answers access(2), which the kernel asks us only without
// default_permissions. Everybody who gets here may see the file system.
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

// mine reports whether the caller may change things: whoever mounted the file
// system, and root. The kernel checks too, but with --allow-other it must not
// be the only one.
func (f *filesystem) mine(ctx context.Context) bool {
	c, ok := fuse.FromContext(ctx)
	return ok && (c.Uid == f.owner.uid || c.Uid == 0)
}
