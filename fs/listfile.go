package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// listNode is what the files that request lists are written to have in common: the
// control file and dropped files.
type listNode struct{ node }

var _ fusefs.NodeSetxattrer = (*listNode)(nil)

// Setxattr accepts what tools copy along with a file and keeps none of it.
func (n *listNode) Setxattr(ctx context.Context, _ string, _ []byte, _ uint32) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	return 0
}

// listHandle is what the open handles of these files have in common.
type listHandle struct{}

var _ fusefs.FileAllocater = listHandle{}

// Allocate reserves nothing and succeeds: there is room for every list.
func (listHandle) Allocate(_ context.Context, _, _ uint64, mode uint32) syscall.Errno {
	const keepSize = 1
	if mode&^keepSize != 0 {
		return syscall.ENOTSUP
	}
	return 0
}

// closePatience is how long the close of such a file may wait for the server's answer.
func (f *filesystem) closePatience(pid int) time.Duration {
	if f.callers.exiting(pid) {
		return exitPatience
	}
	return forEver
}
