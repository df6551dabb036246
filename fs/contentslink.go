package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

const (
	contentsName = "contents"
	// treesName is the directory in downloads/ that the links lead into. No listing
	// has it, so tools that walk through the downloads do not enter it. Otherwise rm
	// -r, cp -r, tar and du would fetch, or try to remove, everything.
	treesName = ".contents"
)

// contentsLink is contents, a link to the files in the archive.
type contentsLink struct{ memberNode }

var _ fusefs.NodeReadlinker = (*contentsLink)(nil)

func newContentsLink(f *filesystem, d item) *contentsLink {
	n := &contentsLink{memberNode: memberNode{node{fs: f}, d}}
	n.self = n
	return n
}

// attributes never change, and neither does the target: it is made of the download's
// id, since the kernel keeps it.
func (n *contentsLink) attributes() attributes {
	created := n.fs.when(n.item.Snapshot().CreatedAt)
	return attributes{
		mode: 0o777, nlink: 1, size: int64(len(n.target())),
		created: created, changed: created,
		valid: settled, entry: settled,
	}
}

func (n *contentsLink) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(n.target()), 0
}

func (n *contentsLink) target() string { return "../" + treesName + "/" + string(n.item.ID()) }
