package fs

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// This file says which callers wait, and why.
//
// A pending archive has no bytes and no size. Opening it means waiting for both. A
// stat can wait for the size, or tell one that may be too large but not too small
// (see sizes). Which is right depends on the caller:
//
//   - A caller that touches the archive must wait in stat. unzip, file, tar and web
//     servers stat a path that they were given and believe the size.
//   - A caller that browses must not wait. ls -l, find, du and file managers stat
//     whatever is there, and would hang for as long as the server zips.
//
// Both make the same system call, so we judge by what we know about the caller. It
// browses
//
//   - if it listed the directory in the last browseWindow, or asked there how full
//     the file system is. File managers ask that before they look again at what
//     they listed long ago;
//   - if it watches the directory, something in it or one above it (inotify,
//     fanotify), or holds the directory open, as a file manager that shows it does;
//   - if it is built on a file library of the desktops, GIO or KIO. Their programs
//     ask for a file's size on the thread that draws their windows, and read to the
//     end of a file whatever size they were told;
//   - if it is stat, called for what people read. Scripts call it with a format;
//   - if it is a shell. A shell stats what a pattern or a test names, or what is
//     typed, and never reads an archive itself;
//   - if it is rm, which must not wait for the very download that it cancels.
//
// But a program that pads a file with zeros up to the size it was told always touches
// the archive, whatever it did before. So does the thread of Ark that reads it.
//
// Asking for the birth time tells us nothing, although the kernel has a separate
// request for it (STATX, since Linux 6.6). File managers ask for it, and so do all
// programs in Node, Rust and Java, whatever they do next. So the rule is the same on
// every kernel.
//
// What each request does while the archive is pending:
//
//	LOOKUP, READDIR, ACCESS, STATFS, xattrs  never wait
//	GETATTR, STATX                           wait, unless the caller browses;
//	                                         on an open file they never wait
//	OPEN                                     waits; with O_NONBLOCK it is EAGAIN,
//	                                         unless the caller has just listed;
//	                                         EAGAIN also for those that sniff,
//	                                         and for the trash
//	READ                                     waits for the bytes
//
// To list contents/ or to look for a name in it waits, too. But programs of the desktops
// get EAGAIN there while the archive is pending: they walk into it to count what is in
// it, on one of few threads, and go on waiting when nobody wants to know any more. An
// error is never taken for an empty directory.
//
// There are more waits in downloads/. Closing the control file and FSYNC wait for the
// server's answer to a list. MKDIR waits for its answer to an adoption. A wait that
// blocks others in the kernel, or that no signal can end, is bounded: see
// adoptPatience, fsyncPatience and exitPatience.
//
// A wait ends when the archive is there, when it is certain that it never will be
// (download.Download.Wait says which), or when the caller has something else to do
// (see interruptible).

// browses reports whether the caller browses rather than touches the archive.
func (n *archiveNode) browses(ctx context.Context) bool {
	pid, who := callerPID(ctx), n.fs.caller(ctx)
	program := n.fs.callers.name(pid)
	switch {
	case n.fs.fillsUp(pid), n.fs.loads(pid, who.tgid):
		return false
	case n.fs.browsers.browsing(n.item.Serial(), who), program == "rm", n.fs.callers.shell(pid):
		return true
	case program == "stat":
		args := n.fs.callers.args(pid)
		return args != nil && forPeople(args)
	case n.fs.callers.shows(who.tgid, n.surroundings()), n.fs.callers.desktop(who.tgid):
		n.noteBrowsing(ctx)
		return true
	}
	return false
}

// windowed reports whether the caller is a program of a desktop. gio is one for
// terminals.
func (f *filesystem) windowed(ctx context.Context) bool {
	return f.callers.desktop(f.caller(ctx).tgid) && f.callers.name(callerPID(ctx)) != "gio"
}

// noteBrowsing notes that the caller browses. This holds for a while.
func (n *archiveNode) noteBrowsing(ctx context.Context) {
	if !n.item.Snapshot().Ready {
		n.fs.browsers.saw(n.item.Serial(), n.fs.caller(ctx))
	}
}

// surroundings returns the inodes that a process watches if it shows the archive.
func (n *archiveNode) surroundings() place {
	serial := n.item.Serial()
	p := place{directory: inodeNumber(serial, kindDirectory)}
	for k := kindDirectory; k <= kindNodes; k++ {
		p.watched = append(p.watched, inodeNumber(serial, k))
	}
	p.watched = append(p.watched, inoDownloads, inoRoot)
	return p
}

// place is a directory, by its inode numbers.
type place struct {
	directory uint64
	watched   []uint64 // the directory, what is in it, and those above
}

// fillsUp reports whether a thread runs a program that pads a file with zeros up to
// the size it was told, and reports success. The system may have installed it under
// another name, such as tar.
func (f *filesystem) fillsUp(pid int) bool {
	programs := []string{"bsdtar", "bsdcpio", "cpio"}
	return slices.Contains(programs, f.callers.name(pid)) || slices.Contains(programs, f.callers.program(pid))
}

// sniffs reports whether a thread opens an archive only to look what kind of file it
// is, and can do without. Engrampa, Ark and Dolphin's properties do so on the thread
// that draws their windows, which would stand still. If they cannot, they go by the
// file's ending. Another thread or process reads the archive and waits.
func (f *filesystem) sniffs(pid int) bool {
	programs := []string{"engrampa", "ark", "dolphin"}
	return slices.Contains(programs, f.callers.name(pid)) && f.callers.tgid(pid) == pid
}

// loads reports whether a thread of Ark opens an archive to read it. It looks for the
// archive's directory at the end of the size that it was told before it opened the
// archive.
func (f *filesystem) loads(pid, tgid int) bool {
	return pid != tgid && f.callers.name(tgid) == "ark"
}

// isShell reports whether a program is a command interpreter.
func isShell(program string) bool {
	return slices.Contains([]string{"bash", "dash", "sh", "zsh", "ksh", "ksh93", "mksh", "yash", "fish"}, program)
}

// readsToEnd reports whether a program reads a file to its end, whatever size it was
// told before it opened the file.
func readsToEnd(program string) bool {
	return slices.Contains([]string{"cp", "mv", "rsync", "tar", "gio"}, program)
}

// forPeople reports whether the arguments of stat(1) name no format.
func forPeople(args []string) bool {
	for _, arg := range args[min(1, len(args)):] {
		switch {
		case arg == "--":
			return true
		case strings.HasPrefix(arg, "--"):
			if strings.HasPrefix(arg, "--fo") || strings.HasPrefix(arg, "--p") || strings.HasPrefix(arg, "--t") {
				return false
			}
		case strings.HasPrefix(arg, "-") && strings.ContainsAny(arg, "ct"):
			return false
		}
	}
	return true
}

// wait returns nil when the archive can be opened.
func (n *archiveNode) wait(ctx context.Context) error {
	work, stop := n.fs.interruptible(ctx)
	defer stop()
	return n.item.Wait(work)
}

// watchInterval is how often a caller's signals are checked once its request was
// interrupted.
const watchInterval = 200 * time.Millisecond

// interruptible returns a context for work on behalf of the caller of ctx, the
// context of a FUSE request. It ends when the caller gets a signal that it handles or
// that ends it, or when the caller or the mount is gone. You must call the function
// returned before the request is answered; afterwards nothing uses ctx.
//
// The kernel interrupts a request for any signal, and only once. Some interrupts mean
// nothing, such as the SIGURG with which Go's runtime preempts itself. So after an
// interrupt the caller's pending signals are watched: nothing else announces a later
// kill -9, and the caller cannot die until we answer.
func (f *filesystem) interruptible(ctx context.Context) (context.Context, func()) {
	pid, interrupted := callerPID(ctx), ctx.Done()
	f.uses.Add(1)
	work, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		defer f.recovered("interrupt")
		select {
		case <-work.Done():
			return
		case <-interrupted:
		}
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for !f.callers.disturbed(pid) {
			select {
			case <-work.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return work, func() {
		f.uses.Add(-1)
		cancel()
		<-watched
	}
}

// recovered logs a panic of the goroutine that defers it.
func (f *filesystem) recovered(op string) {
	if r := recover(); r != nil {
		f.log.Error("panic", "op", op, "err", r, "stack", string(debug.Stack()))
	}
}
