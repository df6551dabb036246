package fs

import (
	"context"
	"errors"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

const downloadsName = "downloads"

// These are the flags of renameat2(2).
const (
	renameNoReplace = 1
	renameExchange  = 2
)

// downloadsNode is downloads/: the control file and a directory per download.
type downloadsNode struct {
	node
	fixedDir
	control *controlNode
	trees   *treesNode
	drops   drops
}

var (
	_ fusefs.NodeOnAdder        = (*downloadsNode)(nil)
	_ fusefs.NodeLookuper       = (*downloadsNode)(nil)
	_ fusefs.NodeOpendirHandler = (*downloadsNode)(nil)
	_ fusefs.NodeMkdirer        = (*downloadsNode)(nil)
	_ fusefs.NodeCreater        = (*downloadsNode)(nil)
	_ fusefs.NodeSymlinker      = (*downloadsNode)(nil)
	_ fusefs.NodeUnlinker       = (*downloadsNode)(nil)
	_ fusefs.NodeRmdirer        = (*downloadsNode)(nil)
	_ fusefs.NodeRenamer        = (*downloadsNode)(nil)
)

func newDownloadsNode(f *filesystem) *downloadsNode {
	n := &downloadsNode{node: node{fs: f}, control: newControlNode(f), trees: newTreesNode(f)}
	n.self = n
	return n
}

// OnAdd makes the control file's inode; see rootNode.
func (n *downloadsNode) OnAdd(ctx context.Context) {
	n.NewPersistentInode(ctx, n.control, stableFile(inoControl))
	n.NewPersistentInode(ctx, n.trees, stableDir(inoTrees))
}

func (n *downloadsNode) attributes() attributes {
	return attributes{
		mode: n.fs.dirMode(), nlink: uint32(2 + len(n.fs.domain.Downloads())),
		created: n.fs.mounted, changed: n.fs.lastTouched(),
		entry: settled,
	}
}

// Lookup makes no request to the server, whatever the name is: desktops probe every
// directory for .Trash, autorun.inf and others.
func (n *downloadsNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if c := n.fs.announce.making(ctx); c != nil {
		if inode, errno, ok := n.lookupAnnounced(ctx, c, name, out); ok {
			return inode, errno
		}
	}
	who := n.fs.caller(ctx)
	if name == download.ControlFile {
		if n.control.replacedBy(who) {
			return nil, syscall.ENOENT
		}
		return n.lookupControl(ctx, out), 0
	}
	if name == treesName && n.fs.contents != nil {
		n.trees.attributes().fillEntry(n.fs.owner, out)
		return n.trees.EmbeddedInode(), 0
	}
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	if d, ok := n.drops.get(name, who.tgid); ok {
		d.look(name)
		d.attributes().fillEntry(n.fs.owner, out)
		return d.EmbeddedInode(), 0
	}
	d, ok := n.fs.domain.Lookup(name)
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.lookupEntry(ctx, name, d, out), 0
}

func (n *downloadsNode) lookupControl(_ context.Context, out *fuse.EntryOut) *fusefs.Inode {
	n.control.attributes().fillEntry(n.fs.owner, out)
	return n.control.EmbeddedInode()
}

// lookupEntry returns the inode of a download's directory. If the kernel knows the
// directory already, it is that inode.
func (n *downloadsNode) lookupEntry(ctx context.Context, name string, d item, out *fuse.EntryOut) *fusefs.Inode {
	ino := inodeNumber(d.Serial(), kindDirectory)
	child := n.GetChild(name)
	if child == nil || child.StableAttr().Ino != ino {
		child = n.NewInode(ctx, newEntryNode(n.fs, d), stableDir(ino))
	}
	child.Operations().(*entryNode).attributes().fillEntry(n.fs.owner, out)
	return child
}

func (n *downloadsNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	n.control.settle(ctx, unseenPatience)
	n.fs.announce.opened(ctx)
	return newDirHandle(n.list, nil), 0, 0
}

func (n *downloadsNode) list() []dirEntry {
	items := n.fs.domain.Downloads()
	entries := make([]dirEntry, 0, len(items)+3)
	entries = append(entries, dots(inoDownloads, inoRoot)...)
	entries = append(entries, dirEntry{download.ControlFile, stableFile(inoControl), n.lookupControl})
	for _, d := range items {
		name := d.Snapshot().Name
		entries = append(entries, dirEntry{name, stableDir(inodeNumber(d.Serial(), kindDirectory)),
			func(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
				return n.lookupEntry(ctx, name, d, out)
			}})
	}
	return entries
}

// adoptPatience bounds the wait in MKDIR. During that wait the kernel blocks every
// process that lists the directory or looks a name up in it.
const adoptPatience = 5 * time.Second

// Mkdir adopts the download that has this name on the server. If the answer takes
// long, Mkdir returns, and the entry appears when the answer comes.
func (n *downloadsNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if !n.fs.mine(ctx) {
		return nil, syscall.EACCES
	}
	if c := n.fs.announce.making(ctx); c != nil {
		return n.mkdirAnnounced(ctx, c, name, out)
	}
	id, err := download.ParseID(name)
	if err != nil || !isUUID(name) {
		// This is no download's name: the caller wants an ordinary directory.
		if kindOfDrop(name) == dropList {
			n.fs.setListErr(download.Because(download.ErrName,
				"%s: no directories can be made here; copy a request list or a link into downloads, or write to new", download.Quote(name)))
		}
		return nil, syscall.EPERM
	}
	work, stop := n.fs.interruptible(ctx)
	defer stop()
	work, cancel := context.WithTimeout(work, adoptPatience)
	defer cancel()
	d, err := n.fs.domain.Adopt(work, id)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			n.fs.setListErr(notAdopted(id, err))
		}
		return nil, n.fs.errno("adopt", id, err)
	}
	n.fs.touch()
	n.fs.announce.knows(d)
	return n.lookupEntry(ctx, name, d, out), 0
}

// notAdopted returns what the control file says of an adoption that failed.
func notAdopted(id download.ID, err error) error {
	switch {
	case errors.Is(err, download.ErrNotFound):
		return download.Because(err, "%s: the server has no such download; mkdir takes over one that was made elsewhere and is still there", id)
	case errors.Is(err, context.DeadlineExceeded):
		return download.Because(err, "%s: the server has not answered in %s; if it does, the download appears", id, adoptPatience)
	}
	return err
}

// Rmdir removes a download. The directory need not be empty, because what is in it
// cannot be removed in any other way.
func (n *downloadsNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	if c := n.fs.announce.making(ctx); c != nil {
		return c.permits(changeRmdir, name)
	}
	d, ok := n.fs.domain.Lookup(name)
	if !ok {
		return syscall.ENOENT
	}
	stays := n.fs.announce.removes(d)
	if err := n.fs.domain.Remove(d); err != nil {
		stays()
		return n.fs.errno("remove", d.ID(), err)
	}
	if n.fs.contents != nil {
		n.fs.contents.remove(d)
	}
	n.fs.touch()
	return 0
}

// Rename gives a download's directory another name. It refuses to move anything else,
// or to another place.
func (n *downloadsNode) Rename(ctx context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	switch {
	case !n.fs.mine(ctx):
		return syscall.EACCES
	case flags&^renameNoReplace != 0:
		return syscall.EINVAL
	case n.fs.announce.making(ctx) != nil:
		return n.fs.announce.making(ctx).permits(changeRename, name)
	case name == download.ControlFile, newParent.EmbeddedInode() != n.EmbeddedInode():
		return syscall.EPERM
	}
	if d, ok := n.drops.get(name, n.fs.caller(ctx).tgid); ok {
		return n.renameDrop(ctx, d, name, newName)
	}
	d, ok := n.fs.domain.Lookup(name)
	if !ok {
		return syscall.ENOENT
	}
	// Without renameNoReplace a directory may be renamed over an empty one. A
	// download's directory is never empty, so a name that is taken is refused in both
	// cases.
	if err := n.fs.domain.Rename(d, newName); err != nil {
		return n.fs.errno("rename", d.ID(), err)
	}
	n.fs.touch()
	n.fs.announce.knows(d)
	return 0
}
