package fs

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// This file says who waits, and why.
//
// An archive that is pending has no bytes and no size. To open it is to wait for
// both. A stat can wait for the size, or tell one that may be too large but not
// too small (see sizes). What is right depends on the caller:
//
//   - Who uses the archive must wait in stat: unzip, file, tar and web servers
//     stat a path that they were told of and believe the size.
//   - Who looks around must not: ls -l, find, du and file managers stat whatever
//     there is, and would hang for as long as the server zips.
//
// Both make the same system call, so what is known of the caller has to tell. It
// looks around
//
//   - if it listed the directory in the last browseWindow, or asked how full the
//     file system is there, as file managers do before they look again at what
//     they listed long ago;
//   - if it watches the directory, something in it or one above it (inotify,
//     fanotify), or holds the directory open: a file manager that shows it;
//   - if it is built on a file library of the desktops, GIO or KIO: their
//     programs ask for a file's size on the thread that draws their windows, and
//     read to the end of a file whatever size they were told;
//   - if it is stat, asked for what people read. Scripts ask it for a format;
//   - if it is a shell, which stats what a pattern or a test names, or what is
//     typed, and never reads an archive itself;
//   - if it is rm, which must not wait for the very download that it cancels.
//
// But it uses the archive, whatever it did before, if it is a program that
// fills up with zeros what a file lacks of the size it was told.
//
// Asking for the birth time tells nothing, though the kernel has a request of its
// own for it (STATX, since Linux 6.6): file managers want it, and so do all
// programs of Node, Rust and Java, whatever they are about to do. So every kernel
// sees the same rule.
//
// What each request does while the archive is pending:
//
//	LOOKUP, READDIR, ACCESS, STATFS, xattrs  never wait
//	GETATTR, STATX                           wait, unless the caller looks around;
//	                                         of an open file they never wait
//	OPEN                                     waits; with O_NONBLOCK it is EAGAIN,
//	                                         unless the caller has just listed
//	READ                                     waits for the bytes
//
// In downloads/ there is more to wait for: closing the control file and FSYNC for
// the server's answer to a list, MKDIR for that to an adoption. A wait that
// keeps others waiting in the kernel, or that no signal can end, is bounded: see
// adoptPatience, fsyncPatience and exitPatience.
//
// How a wait ends: the archive is there, or it is sure that it never will be
// (download.Download.Wait says which), or the caller is wanted elsewhere, see
// interruptible.

// looksAround reports whether the caller looks around rather than uses the
// archive.
func (n *archiveNode) looksAround(ctx context.Context) bool {
	pid, who := callerPID(ctx), n.fs.caller(ctx)
	program := n.fs.callers.name(pid)
	switch {
	case n.fs.fillsUp(pid):
		return false
	case n.fs.browsers.browsing(n.item.Serial(), who), program == "rm", n.fs.callers.shell(pid):
		return true
	case program == "stat":
		args := n.fs.callers.args(pid)
		return args != nil && forPeople(args)
	case n.fs.callers.shows(who.tgid, n.around()), n.fs.callers.desktop(who.tgid):
		n.looked(ctx)
		return true
	}
	return false
}

// looked notes that the caller looks around, which holds for a while.
func (n *archiveNode) looked(ctx context.Context) {
	if !n.item.Snapshot().Ready {
		n.fs.browsers.saw(n.item.Serial(), n.fs.caller(ctx))
	}
}

// around are the inodes that somebody watches who shows the archive.
func (n *archiveNode) around() place {
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

// fillsUp reports whether a thread runs a program that stores zeros for what a file
// lacks of the size that it was told, and calls that a success. A system can have
// given it the name of another, such as tar.
func (f *filesystem) fillsUp(pid int) bool {
	programs := []string{"bsdtar", "bsdcpio", "cpio"}
	return slices.Contains(programs, f.callers.name(pid)) || slices.Contains(programs, f.callers.program(pid))
}

// isShell reports whether a program is a command interpreter.
func isShell(program string) bool {
	return slices.Contains([]string{"bash", "dash", "sh", "zsh", "ksh", "ksh93", "mksh", "yash", "fish"}, program)
}

// looksAgain reports whether a program is one that reads a file to its end,
// whatever size it was told before it opened it.
func looksAgain(program string) bool {
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

// watchInterval is how often the signals of a caller are looked at once its
// request was interrupted.
const watchInterval = 200 * time.Millisecond

// interruptible returns a context for work on behalf of the caller of ctx, a
// FUSE request's. It ends when the caller gets a signal that it handles or that
// ends it, or is gone, or the mount is. The function returned must be called
// before the request is answered; afterwards nothing uses ctx.
//
// The kernel interrupts a request for any signal and only once. So after an
// interrupt that means nothing, such as the SIGURG with which Go's runtime
// preempts itself, the caller's pending signals are watched: a kill -9 later on
// is announced by nothing else, and the caller cannot die until we answer.
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
