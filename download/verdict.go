package download

import (
	"errors"
	"time"
)

// verdict says whether the archive can be opened (ready) or why it cannot be had (err).
// It says neither while that is undecided. An EXPIRED archive may still be complete in
// the cache (see rescued). Manager.mu is held.
func (d *Download) verdict(now time.Time) (ready bool, err error) {
	m := d.m
	switch {
	case d.removed:
		return false, Because(ErrCancelled, "the download was removed")
	case m.closing:
		return false, errUnmounting
	}
	switch d.progress.Status {
	case StatusDone:
		return true, nil
	case StatusCancelled:
		return false, Because(ErrCancelled, "the download was cancelled")
	case StatusTooLarge:
		if d.parts != nil && d.parts.err != nil {
			return false, d.parts.err
		}
		return false, TooLarge(d.progress)
	case StatusExpired:
		if d.parts != nil {
			return false, Because(ErrExpired, "the cache does not have all parts of the archive any more; ask for the same nodes again")
		}
		return false, Because(ErrExpired, "the server has deleted the download; ask for the same nodes again")
	}
	switch {
	case m.server.refused != nil:
		return false, Because(ErrUnauthorized, "%s", withReason("the server refuses the login", m.server.refused))
	case d.watch.fault != nil:
		return false, d.watch.fault
	case m.server.unreachable(now, m.unreachableTimeout):
		return false, Because(ErrUnavailable, "%s",
			withReason("the server has not answered since "+stamp(m.server.failingSince), m.server.lastErr))
	case d.watch.failing(now, m.unreachableTimeout):
		return false, d.watch.failure()
	case d.parts != nil && d.parts.err != nil:
		return false, d.parts.err
	case d.watch.stalled:
		return false, Stalled(m.stallTimeout)
	}
	return false, nil
}

// errUnmounting is what callers get while the Manager closes.
var errUnmounting = Because(ErrClosed, "the file system is being unmounted")

// TooLarge returns the error for a download that the server refuses as too large. Its
// counters say by how much.
func TooLarge(p Progress) error {
	return Because(ErrTooLarge, "the content has %d bytes, which is over the server's size limit of %d", p.TotalBytes, p.BytesAdded)
}

// Stalled returns the error for a download whose counters have not moved for so long.
func Stalled(timeout time.Duration) error {
	return Because(ErrStalled, "the server has made no progress with this download for %s; it may have failed there", timeout)
}

// mayRecover reports whether verdict may say something else after the next poll.
// Manager.mu is held.
func (d *Download) mayRecover() bool {
	return !d.removed && !d.m.closing && !d.progress.Status.Ended()
}

// isAny reports whether err is one of the sentinels.
func isAny(err error, sentinels ...error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
