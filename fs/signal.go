package fs

import "syscall"

// Signals whose handling a runtime does for itself (Go preempts with SIGURG,
// profilers sample with SIGPROF, shells and editors watch SIGCHLD and
// SIGWINCH): they must not end anybody's wait.
const undisturbing = 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGWINCH-1) |
	1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGPROF-1)

// What else does not end a process by default: it stops or goes on.
const stopping = 1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) |
	1<<(syscall.SIGTTOU-1) | 1<<(syscall.SIGCONT-1)

// disturbed reports whether a signal is pending that the caller handles or that
// will end it. A stop signal that is not handled waits until the wait is over,
// as with any uninterruptible disk.
func (p procStatus) disturbed() bool {
	deliverable := p.pending &^ p.blocked &^ p.ignored
	handled := deliverable & p.caught &^ undisturbing
	fatal := deliverable &^ p.caught &^ undisturbing &^ stopping
	return handled|fatal != 0
}
