package fs

import "syscall"

// undisturbing are signals that a runtime handles for itself: Go preempts with
// SIGURG, profilers sample with SIGPROF, shells and editors watch SIGCHLD and
// SIGWINCH. They must not end a wait.
const undisturbing = 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGWINCH-1) |
	1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGPROF-1)

// stopping are the other signals that do not end a process by default: they stop it
// or let it go on.
const stopping = 1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) |
	1<<(syscall.SIGTTOU-1) | 1<<(syscall.SIGCONT-1)

// disturbed reports whether a signal is pending that the caller handles or that will
// end it. A stop signal that is not handled is delayed until the wait is over, as
// with any uninterruptible disk.
func (p procStatus) disturbed() bool {
	deliverable := p.pending &^ p.blocked &^ p.ignored
	handled := deliverable & p.caught &^ undisturbing
	fatal := deliverable &^ p.caught &^ undisturbing &^ stopping
	return handled|fatal != 0
}
