package fs

import (
	"context"
	"slices"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// entryNode is the directory of one download.
type entryNode struct {
	node
	readOnlyDir
	item item

	mu sync.Mutex // guards making the inode of:
	// archive is always the same node, because it keeps which way the archive is
	// open.
	archive *archiveNode
}

var (
	_ fusefs.NodeLookuper       = (*entryNode)(nil)
	_ fusefs.NodeOpendirHandler = (*entryNode)(nil)
	_ fusefs.NodeStatfser       = (*entryNode)(nil)
	_ fusefs.NodeUnlinker       = (*entryNode)(nil)
	_ fusefs.NodeAccesser       = (*entryNode)(nil)
)

func newEntryNode(f *filesystem, d item) *entryNode {
	n := &entryNode{node: node{fs: f}, item: d, archive: newArchiveNode(f, d)}
	n.self = n
	return n
}

// attributes never change. The files in a download's directory are always the same,
// and tar complains about a directory whose times change while it is read. Names in
// downloads/ change only through the kernel, which keeps track of that itself, unless
// they also change on other machines.
func (n *entryNode) attributes() attributes {
	created := n.fs.when(n.item.Snapshot().CreatedAt)
	return attributes{
		mode: n.fs.entryMode(), nlink: 2,
		created: created, changed: created,
		valid: settled, entry: n.fs.names,
	}
}

// Access lets the owner write, although nothing can be made here: rm asks before it
// removes what is in a directory that is not writable, and file managers offer no
// Delete there. Archive programs are told the truth, because they would unpack here.
func (n *entryNode) Access(ctx context.Context, mask uint32) syscall.Errno {
	if n.fs.mine(ctx) && !unpacks(n.fs.callers.name(callerPID(ctx))) {
		mask &^= accessWrite
	}
	return n.node.Access(ctx, mask)
}

// unpacks reports whether a program offers to unpack an archive beside it.
func unpacks(program string) bool {
	return slices.Contains([]string{"ark", "file-roller", "engrampa", "xarchiver"}, program)
}

// member is one file of a download's directory.
type member struct {
	name string
	kind kind
}

var members = []member{
	{archiveName, kindArchive},
	{statusName, kindStatus},
	{statusJSONName, kindStatusJSON},
	{nodesName, kindNodes},
	{contentsName, kindContents},
}

// members returns the files of a download's directory.
func (n *entryNode) members() []member {
	if n.fs.contents == nil {
		return members[:len(members)-1]
	}
	return members
}

// attr returns what tells inodes apart for the kernel.
func (m member) attr(serial uint64) fusefs.StableAttr {
	attr := stableFile(inodeNumber(serial, m.kind))
	if m.kind == kindContents {
		attr.Mode = syscall.S_IFLNK
	}
	return attr
}

func (n *entryNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if c := n.fs.announce.making(ctx); c != nil && (c.Kind == changeLink || c.Kind == changeRename) {
		switch name {
		case c.To:
			return nil, syscall.ENOENT
		case c.Name:
			return n.lookupMember(ctx, members[0], out), 0
		}
	}
	for _, m := range n.members() {
		if m.name == name {
			return n.lookupMember(ctx, m, out), 0
		}
	}
	switch {
	case name != "" && name == serverName(n.item.Snapshot()):
		return n.lookupMember(ctx, members[0], out), 0
	}
	return nil, syscall.ENOENT
}

// Link makes the server's name for the archive, which is there already.
func (n *entryNode) Link(ctx context.Context, target fusefs.InodeEmbedder, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	c := n.fs.announce.making(ctx)
	if c == nil {
		return n.readOnlyDir.Link(ctx, target, name, out)
	}
	if errno := c.permits(changeLink, name); errno != 0 {
		return nil, errno
	}
	return n.lookupMember(ctx, members[0], out), 0
}

// Rename gives the archive its other name in the views of those who watch. It changes
// nothing here.
func (n *entryNode) Rename(ctx context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	c := n.fs.announce.making(ctx)
	if c == nil {
		return n.readOnlyDir.Rename(ctx, name, newParent, newName, flags)
	}
	if newParent.EmbeddedInode() != n.EmbeddedInode() || newName != c.To {
		return syscall.EPERM
	}
	return c.permits(changeRename, name)
}

// lookupMember returns the inode of a file. If the kernel knows the file already, it
// is that inode.
func (n *entryNode) lookupMember(ctx context.Context, m member, out *fuse.EntryOut) *fusefs.Inode {
	child := n.GetChild(m.name)
	if child == nil {
		child = n.newMember(ctx, m)
	}
	child.Operations().(attributer).attributes().fillEntry(n.fs.owner, out)
	return child
}

func (n *entryNode) newMember(ctx context.Context, m member) *fusefs.Inode {
	attr := m.attr(n.item.Serial())
	switch m.kind {
	case kindArchive:
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.NewInode(ctx, n.archive, attr)
	case kindContents:
		return n.NewInode(ctx, newContentsLink(n.fs, n.item), attr)
	case kindNodes:
		return n.NewInode(ctx, newNodesNode(n.fs, n.item), attr)
	default:
		return n.NewInode(ctx, newStatusNode(n.fs, n.item, m.kind), attr)
	}
}

func (n *entryNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	n.fs.announce.opened(ctx)
	who := n.fs.lister(ctx)
	return newDirHandle(func() []dirEntry { return n.list(who) }, n.listing), 0, 0
}

// list returns what a caller finds in the directory.
func (n *entryNode) list(who lister) []dirEntry {
	serial := n.item.Serial()
	archive := archiveName
	if name := serverName(n.item.Snapshot()); who.desktop && name != "" {
		archive = name
	}
	entries := dots(inodeNumber(serial, kindDirectory), inoDownloads)
	for _, m := range n.members() {
		if who.trashing && !n.goesToTrash(m.kind) {
			continue
		}
		shown := m.name
		if m.kind == kindArchive {
			shown = archive
		}
		entries = append(entries, dirEntry{shown, m.attr(serial),
			func(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
				return n.lookupMember(ctx, m, out)
			}})
	}
	return entries
}

// listing notes that the caller browses here.
func (n *entryNode) listing(ctx context.Context) { n.archive.noteBrowsing(ctx) }

// Statfs is sent by callers that browse here.
func (n *entryNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.archive.noteBrowsing(ctx)
	return n.node.Statfs(ctx, out)
}

// Unlink of the archive cancels the download, or drops the local copy if the download
// is done. For the other files Unlink only succeeds, so rm -r and a file manager's
// Delete reach the rmdir that removes them all.
func (n *entryNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	switch name {
	case archiveName:
		return n.fs.errno("discard", n.item.ID(), n.fs.domain.Discard(n.item))
	case statusName, statusJSONName, nodesName, contentsName:
		return 0
	case serverName(n.item.Snapshot()):
		return n.Unlink(ctx, archiveName)
	}
	return syscall.ENOENT
}

// memberNode is what the files of a download have in common.
type memberNode struct {
	node
	item item
}

// Access lets the owner write, although opening to write is refused: rm asks before
// it removes a file that is not writable, and removing must work here. LibreOffice is
// told the truth, because it takes a file that it cannot open then for locked by somebody.
func (n *memberNode) Access(ctx context.Context, mask uint32) syscall.Errno {
	if n.fs.mine(ctx) {
		if mask&accessWrite != 0 && n.fs.callers.program(callerPID(ctx)) == "soffice.bin" {
			return syscall.EACCES
		}
		mask &^= accessWrite
	}
	return n.node.Access(ctx, mask)
}
