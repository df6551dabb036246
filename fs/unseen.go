package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// dyingPatience bounds the wait for the INTERRUPT of a FLUSH. The kernel sends it
	// right after the FLUSH, before any other request.
	dyingPatience = 50 * time.Millisecond
	// releasePatience bounds the wait for a RELEASE, which the kernel sends before
	// close(2) returns. RELEASE does not come while a process holds the file open.
	releasePatience = 100 * time.Millisecond
	// unseenPatience bounds how long a listing waits for the answer to a list whose
	// writer could not be made to wait for it.
	unseenPatience = 2 * time.Second
)

// unseen is the state of a list whose opener's descriptors cannot be seen: the opener
// is in another pid namespace, behind a /proc that hides it, or of another user. No
// close is known to be the last one. So the list ends with RELEASE, whose errno
// nobody gets.
type unseen struct {
	uid      uint32        // of the opener
	closing  bool          // guarded by the handle's mu: a process has closed it, and nothing was written since
	released chan struct{} // closed when RELEASE came
	answered chan struct{} // closed when the list's outcome is known
}

// newUnseen returns nil if the descriptors of the process that opens the control file
// in ctx can be seen.
func (f *filesystem) newUnseen(ctx context.Context, opener int) *unseen {
	if opener != 0 && f.callers.sees(opener) {
		return nil
	}
	u := &unseen{released: make(chan struct{}), answered: make(chan struct{})}
	if c, ok := fuse.FromContext(ctx); ok {
		u.uid = c.Uid
	}
	return u
}

// flushUnseen notes that a process closed h. It gives the list up if a signal ended
// that process, because it may have been the writer. The kernel interrupts the FLUSH
// of a process that dies of a signal: the signal is still pending while the process's
// descriptors are closed. A process that exits has no pending signal.
func (h *controlHandle) flushUnseen(ctx context.Context) syscall.Errno {
	h.mu.Lock()
	begun := h.length > 0
	h.mu.Unlock()
	if !begun {
		return 0
	}
	await(ctx, nil, dyingPatience)
	dying := ctx.Err() != nil
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unseen.closing = true
	if dying && h.err == nil {
		h.err = errKilled
	}
	return 0
}

// settle waits for the lists that unseen processes of this user have written and
// closed. In echo ID > new; cat new, a shell has not waited for the answer.
func (n *controlNode) settle(ctx context.Context, patience time.Duration) {
	c, ok := fuse.FromContext(ctx)
	if !ok {
		return
	}
	for _, h := range n.closingOf(c.Uid) {
		if await(ctx, h.unseen.released, releasePatience) {
			await(ctx, h.unseen.answered, patience)
		}
	}
}

// closingOf returns a user's handles that an unseen process has closed and whose lists
// are unanswered.
func (n *controlNode) closingOf(uid uint32) []*controlHandle {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*controlHandle
	for h := range n.unseen {
		if h.unseen.uid != uid {
			continue
		}
		h.mu.Lock()
		if h.unseen.closing {
			all = append(all, h)
		}
		h.mu.Unlock()
	}
	return all
}

// answered ends settle's waits for h.
func (n *controlNode) answered(h *controlHandle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.unseen, h)
	close(h.unseen.answered)
}

// await reports whether c is closed before ctx is cancelled or patience runs out.
func await(ctx context.Context, c <-chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}
