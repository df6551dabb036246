package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is what all nodes have in common. self is the node it is embedded in.
type node struct {
	fusefs.Inode
	fs   *filesystem
	self attributer
}

var (
	_ fusefs.NodeGetattrer  = (*node)(nil)
	_ fusefs.NodeStatxer    = (*node)(nil)
	_ fusefs.NodeSetattrer  = (*node)(nil)
	_ fusefs.NodeAccesser   = (*node)(nil)
	_ fusefs.NodeStatfser   = (*node)(nil)
	_ fusefs.NodeSetxattrer = (*node)(nil)
)

// Getattr answers without waiting. archiveNode has its own.
func (n *node) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	a := n.self.attributes()
	a.fill(n.fs.owner, &out.Attr)
	out.SetTimeout(a.valid)
	return 0
}

// Statx never waits. The kernel sends it only to callers that want the birth time. If
// a node did not have it, the kernel would send GETATTR for all callers.
func (n *node) Statx(_ context.Context, _ fusefs.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	n.self.attributes().fillStatx(n.fs.owner, out)
	return 0
}

// Setattr refuses to change anything and accepts what changes nothing. So a tool can
// copy permissions that are already there.
func (n *node) Setattr(ctx context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	a := n.self.attributes()
	if !n.unchanged(a, in) && !n.fs.announce.making(ctx).setsTimes() {
		return syscall.EPERM
	}
	a.fill(n.fs.owner, &out.Attr)
	out.Ino = n.StableAttr().Ino
	out.SetTimeout(a.valid)
	return 0
}

// unchanged reports whether in asks for what is already there.
func (n *node) unchanged(a attributes, in *fuse.SetAttrIn) bool {
	if mode, ok := in.GetMode(); ok && mode != a.mode {
		return false
	}
	if uid, ok := in.GetUID(); ok && uid != n.fs.owner.uid {
		return false
	}
	if gid, ok := in.GetGID(); ok && gid != n.fs.owner.gid {
		return false
	}
	return in.Valid&(fuse.FATTR_SIZE|fuse.FATTR_ATIME|fuse.FATTR_MTIME|fuse.FATTR_CTIME) == 0
}

// Access never waits. go-fuse's default would call Getattr.
func (n *node) Access(ctx context.Context, mask uint32) syscall.Errno {
	return n.fs.access(ctx, n.self.attributes().mode, n.IsDir(), mask)
}

// Statfs reports the size and use of the cache. It works on every node.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.fs.statfs(out)
	return 0
}

// Setxattr is refused: there are no extended attributes.
func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.ENOTSUP
}
