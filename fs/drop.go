package fs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

const (
	// maxDrops bounds how many files are kept.
	maxDrops = 256
	// dropLife is how long a file is kept that nobody has open: a temporary one
	// whose program died, or an empty one.
	dropLife = time.Minute
	// dropAfterlife is how long who has dropped a file still finds it after its
	// download was asked for, to set its mode and times or to look at it.
	dropAfterlife = 10 * time.Second
	// inoDrops is where the inode numbers of dropped files begin, far above those
	// of downloads.
	inoDrops = 1 << 62
)

// dropNode is a file that somebody puts into downloads/: a list, or a link that
// was saved. Closing it asks for its download, which is called after the file. A
// file with a temporary name waits until it is renamed. It is never listed.
type dropNode struct {
	node
	drops *drops

	mu      sync.Mutex // guards what follows; before the mu of drops
	name    string
	content []byte
	mode    uint32
	changed time.Time
	used    time.Time // when it was opened, closed or written last
	opened  int       // handles
	failed  error     // why nothing is asked for: not all was written
	asked   *submission
	by      int // the process that asked, which finds it for a while
	link    bool
}

var (
	_ fusefs.NodeOpener     = (*dropNode)(nil)
	_ fusefs.NodeSetattrer  = (*dropNode)(nil)
	_ fusefs.NodeSetxattrer = (*dropNode)(nil)
	_ fusefs.NodeReadlinker = (*dropNode)(nil)
)

// drops are the files in downloads/ that are no downloads yet.
type drops struct {
	last atomic.Uint64

	mu    sync.Mutex // guards what follows
	named map[string]*dropNode
}

// dropKind is what becomes of a file by its name.
type dropKind int

const (
	dropList      dropKind = iota // its close asks for a download
	dropTemporary                 // so does renaming it
	dropRefused                   // it cannot be made
)

// kindOfDrop tells what becomes of a file with a name. Editors and desktops make
// files of their own beside those that they look at; where they cannot, they do
// without.
func kindOfDrop(name string) dropKind {
	lower := strings.ToLower(name)
	switch ext := filepath.Ext(lower); {
	case len(name) > maxName, name == "4913", name == treesName, lower == "autorun.inf", lower == "desktop.ini", lower == "thumbs.db",
		strings.HasSuffix(name, "~"), strings.HasPrefix(name, "#"), strings.HasPrefix(name, ".#"), strings.HasPrefix(name, "._"),
		strings.HasPrefix(name, ".~lock."), strings.HasPrefix(lower, ".trash"), strings.HasPrefix(name, ".nfs"), lower == ".ds_store",
		lower == ".directory", lower == ".hidden", len(ext) == 4 && strings.HasPrefix(ext, ".sw"), ext == ".bak":
		return dropRefused
	case strings.HasPrefix(name, "."), ext == ".part", ext == ".crdownload", ext == ".tmp", ext == ".filepart", ext == ".partial":
		return dropTemporary
	}
	return dropList
}

// ending is what a program has put behind a file's name, and not its user.
var ending = regexp.MustCompile(`\.[0-9]?[A-Za-z]{1,7}[0-9]?$`)

// stem is what the download of a file is called.
func stem(name string) string {
	if s := ending.ReplaceAllString(name, ""); s != "" {
		return s
	}
	return name
}

// newDrop makes a file, or says why not.
func (n *downloadsNode) newDrop(ctx context.Context, name string, mode uint32) (*dropNode, syscall.Errno) {
	if !n.fs.mine(ctx) {
		return nil, syscall.EACCES
	}
	if kindOfDrop(name) == dropRefused {
		return nil, syscall.EPERM
	}
	now := time.Now()
	d := &dropNode{node: node{fs: n.fs}, drops: &n.drops, name: name, mode: mode & 0o777, changed: now, used: now}
	d.self = d
	if !n.drops.add(name, d) {
		return nil, syscall.ENOSPC
	}
	return d, 0
}

// Create makes a file for a list or a link, or the control file anew, which a tool
// has unlinked to replace it.
func (n *downloadsNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	if name == download.ControlFile {
		n.control.replaced(n.fs.caller(ctx))
		h, fuseFlags, errno := n.control.Open(ctx, flags)
		if errno != 0 {
			return nil, nil, 0, errno
		}
		return n.lookupControl(ctx, out), h, fuseFlags, 0
	}
	d, errno := n.newDrop(ctx, name, mode)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	inode := n.inode(ctx, d, syscall.S_IFREG)
	d.attributes().fillEntry(n.fs.owner, out)
	return inode, d.open(ctx, flags), fuse.FOPEN_DIRECT_IO, 0
}

// Symlink asks for what target names, a path of the repository or an address. What
// it returns is a link for the moment; then there is the download.
func (n *downloadsNode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if kindOfDrop(name) != dropList {
		return nil, syscall.EPERM
	}
	d, errno := n.newDrop(ctx, name, 0o777)
	if errno != 0 {
		return nil, errno
	}
	d.content, d.link = []byte(target), true // nobody else has it yet
	inode := n.inode(ctx, d, syscall.S_IFLNK)
	if errno := n.askNow(ctx, d, name); errno != 0 {
		n.drops.remove(name, d)
		return nil, errno
	}
	d.attributes().fillEntry(n.fs.owner, out)
	return inode, 0
}

// Unlink removes a file that is no download yet. Of the control file it makes room
// for another one, which takes its place; rm is told that it stays.
func (n *downloadsNode) Unlink(ctx context.Context, name string) syscall.Errno {
	who := n.fs.caller(ctx)
	switch {
	case !n.fs.mine(ctx):
		return syscall.EACCES
	case name == download.ControlFile:
		switch n.fs.callers.name(callerPID(ctx)) {
		case "rm", "unlink", "find":
			return syscall.EPERM
		}
		n.control.replace(who)
		return 0
	}
	d, ok := n.drops.get(name, who.tgid)
	if !ok {
		return syscall.ENOENT
	}
	n.drops.remove(name, d)
	return 0
}

// renameDrop gives a file its final name, and asks for its download then; or
// another temporary one.
func (n *downloadsNode) renameDrop(ctx context.Context, d *dropNode, name, newName string) syscall.Errno {
	if _, taken := n.fs.domain.Lookup(newName); taken {
		return syscall.EEXIST
	}
	switch kindOfDrop(newName) {
	case dropRefused:
		return syscall.EPERM
	case dropList:
		if errno := n.askNow(ctx, d, newName); errno != 0 {
			return errno
		}
	}
	n.drops.remove(name, d)
	d.mu.Lock()
	d.name = newName
	d.mu.Unlock()
	if newName != download.ControlFile {
		n.drops.add(newName, d)
	}
	return 0
}

// askNow asks for the download of d and waits for the answer. As for an adoption,
// the kernel keeps everybody waiting meanwhile who lists the directory, so who
// waits for long is let go; the download appears with the answer.
func (n *downloadsNode) askNow(ctx context.Context, d *dropNode, name string) syscall.Errno {
	asked, err := d.ask(n.fs.caller(ctx).tgid, name)
	if asked != nil {
		err = asked.wait(ctx, n.fs, adoptPatience)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return 0
	}
	return n.fs.errno("create", "", err)
}

// inode returns a new inode for d, which was added last.
func (n *downloadsNode) inode(ctx context.Context, d *dropNode, kind uint32) *fusefs.Inode {
	return n.NewInode(ctx, d, fusefs.StableAttr{Mode: kind, Ino: inoDrops + n.drops.last.Add(1)})
}

// add makes d what name refers to, unless there are too many.
func (ds *drops) add(name string, d *dropNode) bool {
	ds.sweep()
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if len(ds.named) >= maxDrops {
		return false
	}
	if ds.named == nil {
		ds.named = make(map[string]*dropNode)
	}
	ds.named[name] = d
	return true
}

// sweep forgets the files that nobody needs any more.
func (ds *drops) sweep() {
	ds.mu.Lock()
	all := make(map[string]*dropNode, len(ds.named))
	for name, d := range ds.named {
		all[name] = d
	}
	ds.mu.Unlock()
	for name, d := range all {
		if d.over() {
			ds.remove(name, d)
		}
	}
}

// get returns the file called name, as who finds it.
func (ds *drops) get(name string, who int) (*dropNode, bool) {
	ds.mu.Lock()
	d := ds.named[name]
	ds.mu.Unlock()
	if d == nil || d.over() || !d.foundBy(who) {
		return nil, false
	}
	return d, true
}

func (ds *drops) remove(name string, d *dropNode) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.named[name] == d {
		delete(ds.named, name)
	}
}

// over reports whether the file can be forgotten.
func (n *dropNode) over() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	life := dropLife
	if n.asked != nil {
		life = dropAfterlife
	}
	return n.opened == 0 && time.Since(n.used) > life
}

// foundBy reports whether a process finds the file: everybody, until its download
// was asked for, which then has the name or one like it.
func (n *dropNode) foundBy(who int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked == nil || n.opened > 0 || who == n.by && who != 0
}

func (n *dropNode) attributes() attributes {
	n.mu.Lock()
	defer n.mu.Unlock()
	return attributes{mode: n.mode, nlink: 1, size: int64(len(n.content)), created: n.changed, changed: n.changed}
}

// Setattr keeps what tools look at again: the mode and the times.
func (n *dropNode) Setattr(ctx context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	n.mu.Lock()
	if size, ok := in.GetSize(); ok {
		if size > download.MaxListBytes {
			n.mu.Unlock()
			return syscall.EFBIG
		}
		n.content = append(n.content[:min(int(size), len(n.content))], make([]byte, max(0, int(size)-len(n.content)))...)
		n.asked = nil
		if size == 0 {
			n.failed = nil
		}
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = mode & 0o777
	}
	if mtime, ok := in.GetMTime(); ok {
		n.changed = mtime
	}
	n.mu.Unlock()
	in.Valid = 0
	return n.node.Setattr(ctx, nil, in, out)
}

// Setxattr accepts what tools copy along with a file, and keeps none of it.
func (n *dropNode) Setxattr(ctx context.Context, _ string, _ []byte, _ uint32) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	return 0
}

// Open reads or writes the file again.
func (n *dropNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if !n.fs.mine(ctx) {
		return nil, 0, syscall.EACCES
	}
	return n.open(ctx, flags), fuse.FOPEN_DIRECT_IO, 0
}

// Readlink tells where a link that was dropped points to.
func (n *dropNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.link {
		return nil, syscall.EINVAL
	}
	return n.content, 0
}

// ask asks for the download of the file as it is now, called after name; nil when
// there is nothing to ask for, or that was asked for already.
func (n *dropNode) ask(opener int, name string) (*submission, error) {
	f := n.fs
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != nil {
		return n.asked, nil
	}
	if n.failed != nil {
		f.setListErr(n.failed)
		return nil, n.failed
	}
	text := n.content
	if address, ok := linkIn(text); ok {
		if text = []byte(address + "\n"); address == "" {
			err := download.Because(download.ErrInvalid, "%s: there is no address in this link", download.Quote(name))
			f.setListErr(err)
			return nil, err
		}
	}
	r := f.newListReader()
	var list download.List
	_, err := r.Write(text)
	if err == nil {
		list, err = r.Finish("")
	}
	if err != nil {
		err = download.Because(err, "%s: %s", download.Quote(name), err)
		f.setListErr(err)
		return nil, err
	}
	if len(list.Entries) == 0 {
		return nil, nil
	}
	f.setListErr(nil)
	s := &submission{done: make(chan struct{})}
	n.asked, n.by, n.used = s, opener, time.Now()
	f.work.Go(func() {
		defer close(s.done)
		s.err = errPanicked
		defer f.recovered("create")
		d, err := f.createOnce(opener, name, list)
		if err == nil {
			f.nameAfter(d, stem(name))
		}
		s.err = err
	})
	return s, nil
}

// nameAfter calls a download by a name, made unique; by its id where it cannot have
// that.
func (f *filesystem) nameAfter(d item, name string) {
	if d.Snapshot().Name != string(d.ID()) || name == download.ControlFile {
		return
	}
	for i := range 1000 {
		unique := name
		if i > 0 {
			unique = fmt.Sprintf("%s-%d", name, i+1)
		}
		switch err := f.domain.Rename(d, unique); {
		case err == nil:
			f.touch()
			return
		case !errors.Is(err, download.ErrExists):
			f.log.Debug("not called after its file", "op", "rename", "download", d.ID(), "err", err)
			return
		}
	}
}
