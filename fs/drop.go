package fs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
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
	// dropLife is how long a file with a temporary name is kept that is not open: its
	// program may have died.
	dropLife = time.Minute
	// dropAfterlife is how long any other file is kept that is not open. The process
	// that dropped it may set its mode and times, or look at it. After that, nobody
	// should be told that a file exists which no listing has.
	dropAfterlife = 10 * time.Second
	// dropQuiet is how long that process must not have looked for the file before
	// watchers are told that the file is gone.
	dropQuiet = 500 * time.Millisecond
	// inoDrops is where the inode numbers of dropped files begin, far above those of
	// downloads and below those of contents.
	inoDrops = 1 << 61
)

// dropNode is a file that a user puts into downloads/: a list, or a saved link.
// Closing it asks for its download, which is named after the file. A file with a
// temporary name waits until it is renamed. A dropNode is never listed.
type dropNode struct {
	listNode
	drops *drops

	mu      sync.Mutex // guards what follows; before the mu of drops
	name    string
	content []byte
	mode    uint32
	changed time.Time
	used    time.Time   // when it was last opened, closed or written
	looked  time.Time   // when the process that asked last looked for it
	opened  int         // handles
	refused bool        // no list: its name is gone
	failed  error       // why nothing is asked for: not everything was written
	judge   *listReader // reads along what is written from start to end; nil if nothing does
	asked   *submission
	by      int  // the process that asked; it finds the file for a while
	gone    bool // it was removed, or another took its name: its close asks for nothing
	link    bool
}

var (
	_ fusefs.NodeOpener     = (*dropNode)(nil)
	_ fusefs.NodeSetattrer  = (*dropNode)(nil)
	_ fusefs.NodeReadlinker = (*dropNode)(nil)
)

// drops are the files in downloads/ that are not downloads yet.
type drops struct {
	last atomic.Uint64

	mu    sync.Mutex // guards what follows
	named map[string]*dropNode
}

// dropKind says what happens to a file, by its name.
type dropKind int

const (
	dropList      dropKind = iota // its close asks for a download
	dropTemporary                 // renaming it asks for a download
	dropRefused                   // it cannot be made
)

// kindOfDrop returns what happens to a file with this name. Editors and desktops make
// files of their own next to the files that they look at. They can do without if they
// cannot make them.
func kindOfDrop(name string) dropKind {
	lower := strings.ToLower(name)
	switch ext := filepath.Ext(lower); {
	case len(name) > maxName, name == "4913", name == treesName, lower == "autorun.inf", lower == "desktop.ini", lower == "thumbs.db",
		strings.HasSuffix(name, "~"), strings.HasPrefix(name, "#"), strings.HasPrefix(name, ".#"), strings.HasPrefix(name, "._"),
		strings.HasPrefix(name, ".~lock."), strings.HasPrefix(lower, ".trash"), strings.HasPrefix(name, ".nfs"), lower == ".ds_store",
		lower == ".directory", lower == ".hidden", len(ext) == 4 && strings.HasPrefix(ext, ".sw"), ext == ".bak":
		return dropRefused
	case strings.HasPrefix(name, "."), ext == ".part", ext == ".crdownload", ext == ".tmp", ext == ".filepart", ext == ".partial", ext == ".lock", isRandom(name):
		return dropTemporary
	}
	return dropList
}

// randomEnding matches what Qt and GLib append to a file's name while they write it, as
// in report.url.dSiXuB.
var randomEnding = regexp.MustCompile(`\.[A-Za-z]{1,8}\.([A-Za-z0-9]{6})$`)

// isRandom reports whether a name ends with six random letters. People do not mix small
// and capital letters there.
func isRandom(name string) bool {
	m := randomEnding.FindStringSubmatch(name)
	return m != nil && strings.ToLower(m[1]) != m[1] && strings.ToUpper(m[1]) != m[1]
}

// addressName matches the name of a file whose program had no other name for a link than
// its address.
var addressName = regexp.MustCompile(`^https?:[^\pL\pN]`)

// ending matches what a program, not its user, has appended to a file's name.
var ending = regexp.MustCompile(`\.[0-9]?[A-Za-z]{1,7}[0-9]?$`)

// stem returns the name for the download of a file.
func stem(name string) string {
	if s := ending.ReplaceAllString(name, ""); s != "" {
		return s
	}
	return name
}

// newDrop makes a file, or returns why it cannot.
func (n *downloadsNode) newDrop(ctx context.Context, name string, mode uint32) (*dropNode, syscall.Errno) {
	if !n.fs.mine(ctx) || n.fs.announce.making(ctx) != nil {
		return nil, syscall.EACCES
	}
	if kindOfDrop(name) == dropRefused {
		return nil, syscall.EPERM
	}
	now := time.Now()
	d := &dropNode{listNode: listNode{node{fs: n.fs}}, drops: &n.drops, name: name, mode: mode & 0o777, changed: now, used: now}
	d.self = d
	d.judgeAnew()
	if !n.drops.add(name, d) {
		return nil, syscall.ENOSPC
	}
	return d, 0
}

// Create makes a file for a list or a link. If a tool has unlinked the control file
// to replace it, Create makes the control file anew.
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

// Symlink asks for what target names: a path of the repository or an address. It
// returns a link, which exists only until the download does.
func (n *downloadsNode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if kindOfDrop(name) != dropList {
		return nil, syscall.EPERM
	}
	d, errno := n.newDrop(ctx, name, 0o777)
	if errno != 0 {
		return nil, errno
	}
	d.content, d.link = []byte(target), true // nobody else has d yet
	inode := n.inode(ctx, d, syscall.S_IFLNK)
	if errno := n.askNow(ctx, d, name); errno != 0 {
		n.drops.remove(name, d)
		return nil, errno
	}
	d.attributes().fillEntry(n.fs.owner, out)
	return inode, 0
}

// Unlink removes a file that is not a download yet. If a tool unlinks the control
// file, Unlink makes room for the file that replaces it. rm is told that the control
// file stays.
func (n *downloadsNode) Unlink(ctx context.Context, name string) syscall.Errno {
	who := n.fs.caller(ctx)
	switch {
	case !n.fs.mine(ctx):
		return syscall.EACCES
	case n.fs.announce.making(ctx) != nil:
		return n.fs.announce.making(ctx).permits(changeUnlink, name)
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
	d.goes()
	n.fs.announce.left(name)
	return 0
}

// renameDrop gives a file its final name and asks for its download, or gives it
// another temporary name.
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
	n.fs.announce.left(name)
	d.mu.Lock()
	d.name = newName
	d.mu.Unlock()
	if newName == download.ControlFile {
		return 0
	}
	if old := n.drops.at(newName); old != nil && old != d {
		old.goes()
	}
	n.drops.add(newName, d)
	return 0
}

// askNow asks for the download of d and waits for the answer. During that wait the
// kernel blocks every process that lists the directory, as for an adoption. So the
// wait is bounded, and the download appears when the answer comes.
func (n *downloadsNode) askNow(ctx context.Context, d *dropNode, name string) syscall.Errno {
	asked, err := d.ask(n.fs.caller(ctx).tgid, name)
	if asked != nil {
		err = asked.wait(ctx, n.fs, adoptPatience)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return 0
	}
	if err != nil {
		d.askAgain(asked)
		n.fs.announce.left(name) // it never got there
	}
	return n.fs.errno("create", "", err)
}

// askAgain has the file be there as before asked, which failed.
func (n *dropNode) askAgain(asked *submission) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if asked != nil && n.asked == asked && asked.ended() {
		n.asked, n.used = nil, time.Now()
	}
}

// inode returns a new inode for d, which was the last one added.
func (n *downloadsNode) inode(ctx context.Context, d *dropNode, kind uint32) *fusefs.Inode {
	return n.NewInode(ctx, d, fusefs.StableAttr{Mode: kind, Ino: inoDrops + n.drops.last.Add(1)})
}

// add makes name refer to d, unless there are too many files that are needed.
func (ds *drops) add(name string, d *dropNode) bool {
	ds.sweep()
	for !ds.put(name, d) {
		if !ds.spareOne() {
			return false
		}
	}
	return true
}

func (ds *drops) put(name string, d *dropNode) bool {
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

// at returns the file called name, or nil.
func (ds *drops) at(name string) *dropNode {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.named[name]
}

// all returns all files.
func (ds *drops) all() map[string]*dropNode {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return maps.Clone(ds.named)
}

// sweep forgets the files that nobody needs any more.
func (ds *drops) sweep() {
	for name, d := range ds.all() {
		if d.over() {
			ds.remove(name, d)
		}
	}
}

// spareOne forgets the file that is missed least, and reports whether there is one that
// can be spared.
func (ds *drops) spareOne() bool {
	var name string
	var oldest *dropNode
	var since time.Time
	for n, d := range ds.all() {
		if used, ok := d.spare(); ok && (oldest == nil || used.Before(since)) {
			name, oldest, since = n, d, used
		}
	}
	if oldest == nil {
		return false
	}
	ds.remove(name, oldest)
	return true
}

// get returns the file called name if it exists for the process who.
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
	return n.opened == 0 && time.Since(n.used) > n.lifeLocked()
}

// lifeLocked returns how long the file is kept when it is not open.
func (n *dropNode) lifeLocked() time.Duration {
	if n.asked == nil && kindOfDrop(n.name) == dropTemporary {
		return dropLife
	}
	return dropAfterlife
}

// spare reports whether the file can be spared if there are many: its download was
// asked for, or nothing was written to it. It returns when the file was last used.
func (n *dropNode) spare() (used time.Time, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.used, n.opened == 0 && (n.asked != nil || len(n.content) == 0)
}

// goes notes that the file has no name any more.
func (n *dropNode) goes() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = true
}

// foundBy reports whether a process finds the file. Every process does until its
// download is asked for. From then on the download has the same name or a similar
// one.
func (n *dropNode) foundBy(who int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked == nil || n.opened > 0 || who == n.by && who != 0
}

// look notes that the file was looked for and found. If its download was asked for, it
// is in a view again.
func (n *dropNode) look(name string) {
	n.mu.Lock()
	asked := n.asked != nil
	n.looked = time.Now()
	n.mu.Unlock()
	if asked {
		n.fs.announce.leaves(name, n)
	}
}

// leavesAt returns when watchers are to be told that the file is gone. It returns false
// while the file is open.
//
// If the download was made, that is as soon as the program that dropped the file seems
// to have no use for it any more. Should it look again nevertheless, it finds the file.
func (n *dropNode) leavesAt() (time.Time, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.refused:
		return n.used, true
	case n.opened > 0:
		return time.Time{}, false
	case n.asked == nil:
		return n.used.Add(n.lifeLocked()), true
	case !n.asked.ended():
		return time.Now().Add(dropQuiet), true
	}
	quiet, over := n.used.Add(dropQuiet), n.used.Add(dropAfterlife)
	if looked := n.looked.Add(dropQuiet); looked.After(quiet) {
		quiet = looked
	}
	if quiet.Before(over) {
		return quiet, true
	}
	return over, true
}

// refuse forgets the file, which is no list.
func (n *dropNode) refuse() {
	name := n.called()
	n.drops.remove(name, n)
	n.mu.Lock()
	n.refused = true
	n.mu.Unlock()
	n.fs.announce.leaves(name, n)
}

func (n *dropNode) attributes() attributes {
	n.mu.Lock()
	defer n.mu.Unlock()
	return attributes{mode: n.mode, nlink: 1, size: int64(len(n.content)), created: n.changed, changed: n.changed}
}

// Setattr keeps what tools look at again: the mode and the times.
func (n *dropNode) Setattr(ctx context.Context, f fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if !n.fs.mine(ctx) {
		return syscall.EACCES
	}
	n.mu.Lock()
	if size, ok := in.GetSize(); ok {
		if size > download.MaxListBytes {
			n.mu.Unlock()
			return syscall.EFBIG
		}
		if int(size) != len(n.content) {
			n.judge = nil
		}
		n.content = append(n.content[:min(int(size), len(n.content))], make([]byte, max(0, int(size)-len(n.content)))...)
		n.asked = nil
		if h, ok := f.(*dropHandle); ok {
			h.dirty = true
		}
		if size == 0 {
			n.failed = nil
			n.judgeAnew()
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

// judgeAnew has what is written from now on, at the start of the file, judged. A file
// with a temporary name may still hold anything. n.mu is held, or nobody else has n yet.
func (n *dropNode) judgeAnew() {
	n.judge = nil
	if kindOfDrop(n.name) == dropList {
		n.judge = n.fs.newListReader()
	}
}

// judgeLocked returns why the file can be neither a list nor a link, whatever is written
// after data. It returns nil unless the file is written from start to end.
func (n *dropNode) judgeLocked(data []byte, off int64) error {
	if n.judge == nil || off != int64(len(n.content)) {
		n.judge = nil
		return nil
	}
	_, err := n.judge.Write(data)
	if err == nil {
		return nil
	}
	if n.judge = nil; startsLink(slices.Concat(n.content, data)) {
		return nil
	}
	return download.Because(err, "%s: %s", download.Quote(n.name), err)
}

// Open opens the file again to read or write it.
func (n *dropNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if !n.fs.mine(ctx) {
		return nil, 0, syscall.EACCES
	}
	return n.open(ctx, flags), fuse.FOPEN_DIRECT_IO, 0
}

// Readlink returns where a dropped link points.
func (n *dropNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.link {
		return nil, syscall.EINVAL
	}
	return n.content, 0
}

// ask asks for the download of the file as it is now, named after name. It returns
// nil if there is nothing to ask for, or that was already asked for.
func (n *dropNode) ask(opener int, name string) (*submission, error) {
	f := n.fs
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != nil || n.gone {
		return n.asked, nil
	}
	if n.failed != nil {
		f.setListErr(n.failed)
		return nil, n.failed
	}
	text := n.content
	if address, ok := linkIn(text); ok {
		if text = []byte(address + "\n"); address == "" {
			err := download.Because(download.ErrInvalid, "%s: this link holds no address; save it again, or write the address to new", download.Quote(name))
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
	s := newSubmission()
	n.asked, n.by, n.used = s, opener, time.Now()
	f.announce.leaves(name, n)
	f.send(s, opener, name, list, func(d item, err error) {
		if err == nil {
			f.nameAfter(d, stem(name))
		}
	})
	return s, nil
}

// nameAfter gives a download this name, made unique. If the download cannot have the
// name, or it is an address that says no more, the download keeps its id.
func (f *filesystem) nameAfter(d item, name string) {
	if d.Snapshot().Name != string(d.ID()) || name == download.ControlFile || addressName.MatchString(name) {
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
