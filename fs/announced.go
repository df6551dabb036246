package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// This file answers the child that announces changes. For it the directory is as it
// was before the change, so the kernel lets it make the change.

// setsTimes reports whether the change is one of times. They stay as they are.
func (c *change) setsTimes() bool {
	return c != nil && (c.Kind == changeTimes || c.Kind == changeMTime)
}

// permits returns 0 if the change is of this kind and name. For a link that is the new
// name.
func (c *change) permits(kind changeKind, name string) syscall.Errno {
	made := c.Name
	if kind == changeLink {
		made = c.To
	}
	if c.Kind != kind || made != name {
		return syscall.EPERM
	}
	return 0
}

// lookupAnnounced answers for the names that a change is about, and returns false for
// all others. The kernel asks even if it knows the name: it always does so before it
// makes one.
func (n *downloadsNode) lookupAnnounced(ctx context.Context, c *change, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno, bool) {
	switch {
	case c.Kind == changeMkdir && name == c.Name, c.Kind == changeRename && name == c.To:
		return nil, syscall.ENOENT, true
	case (c.Kind == changeRename || c.Kind == changeRmdir) && name == c.Name:
		return n.lookupEntry(ctx, name, c.item, out), 0, true
	case c.Kind == changeUnlink && name == c.Name:
		c.drop.attributes().fillEntry(n.fs.owner, out)
		return c.drop.EmbeddedInode(), 0, true
	}
	return nil, 0, false
}

// mkdirAnnounced makes the directory of a download that is there already.
func (n *downloadsNode) mkdirAnnounced(ctx context.Context, c *change, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if errno := c.permits(changeMkdir, name); errno != 0 {
		return nil, errno
	}
	d, ok := n.fs.domain.Lookup(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.lookupEntry(ctx, name, d, out), 0
}
