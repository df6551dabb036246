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

// attributes may be kept, except for the length of the target: the target contains
// the download's name, which may change.
func (n *contentsLink) attributes() attributes {
	s := n.item.Snapshot()
	return attributes{
		mode: 0o777, nlink: 1, size: int64(len(target(s.Name))),
		created: n.fs.when(s.CreatedAt), changed: n.fs.when(s.CreatedAt),
		entry: settled,
	}
}

func (n *contentsLink) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(target(n.item.Snapshot().Name)), 0
}

// target returns the target of the link in the download with this name.
func target(name string) string { return "../" + treesName + "/" + name }
