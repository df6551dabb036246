package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// textHandle is an open file whose text was fixed when it was opened.
type textHandle struct{ text []byte }

var (
	_ fusefs.FileReader  = textHandle{}
	_ fusefs.FileFsyncer = textHandle{}
)

func (h textHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	size := int64(len(h.text))
	return reply(h.text[min(off, size):min(off+int64(len(dest)), size)]), 0
}

// Fsync has nothing to do.
func (h textHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// writing reports whether a file is opened to change it.
func writing(flags uint32) bool {
	return flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0
}
