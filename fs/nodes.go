package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download/list"
)

const nodesName = "nodes"

// nodesNode is nodes: the node IDs asked for, one per line, in the form that the
// control file takes.
type nodesNode struct{ memberNode }

var _ fusefs.NodeOpener = (*nodesNode)(nil)

func newNodesNode(f *filesystem, d item) *nodesNode {
	n := &nodesNode{memberNode: memberNode{node{fs: f}, d}}
	n.self = n
	return n
}

func (n *nodesNode) attributes() attributes {
	s := n.item.Snapshot()
	a := attributes{
		mode: n.fs.fileMode(), nlink: 1,
		created: n.fs.when(s.CreatedAt), changed: n.fs.when(s.CreatedAt),
		valid: settled, entry: settled,
	}
	a.size = int64(len(list.Format(n.item.NodeIDs())))
	return a
}

func (n *nodesNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	return textHandle{list.Format(n.item.NodeIDs())}, fuse.FOPEN_KEEP_CACHE, 0
}
