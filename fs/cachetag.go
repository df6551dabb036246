package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// cacheTagName is the file that tells backups that a directory holds only what can be
// had again: https://bford.info/cachedir. They look it up, so no listing has it.
const cacheTagName = "CACHEDIR.TAG"

// cacheTag begins with what the convention asks for.
const cacheTag = `Signature: 8a477f597d28d172789f06886806bc55
# This directory is a mount of downloadfs. The server has all that is in it.
# What this file is for: https://bford.info/cachedir
`

// cacheTagNode is CACHEDIR.TAG.
type cacheTagNode struct{ node }

var _ fusefs.NodeOpener = (*cacheTagNode)(nil)

func newCacheTagNode(f *filesystem) *cacheTagNode {
	n := &cacheTagNode{node{fs: f}}
	n.self = n
	return n
}

func (n *cacheTagNode) attributes() attributes {
	return attributes{
		mode: n.fs.fileMode(), nlink: 1, size: int64(len(cacheTag)),
		created: n.fs.mounted, changed: n.fs.mounted,
		valid: settled, entry: settled,
	}
}

func (n *cacheTagNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{[]byte(cacheTag)}, fuse.FOPEN_KEEP_CACHE, 0
}
