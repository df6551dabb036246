package download

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// condition is why an archive cannot be had: one plain sentence, and the
// sentinel that it wraps.
type condition struct {
	sentence string
	sentinel error
	reason   string // see Reason
}

func (c *condition) Error() string  { return c.sentence }
func (c *condition) Unwrap() error  { return c.sentinel }
func (c *condition) Reason() string { return c.reason }

func because(sentinel error, format string, args ...any) error {
	return &condition{sentence: plain(fmt.Sprintf(format, args...)), sentinel: sentinel}
}

// plain makes one short line of a text in which a server's words may stand.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 2000)])
	const limit = 400
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit-1]) + "…"
	}
	return strings.TrimSpace(s)
}

// verdict says whether the archive can be opened (ready), or why it cannot be
// had (err); neither while that is open. An EXPIRED one may still be complete in
// the cache, see rescued. Manager.mu is held.
func (d *Download) verdict(now time.Time) (ready bool, err error) {
	m := d.m
	switch {
	case d.removed:
		return false, because(ErrCancelled, "the download was removed")
	case m.closing:
		return false, because(ErrClosed, "the file system is being unmounted")
	}
	switch d.progress.Status {
	case StatusDone:
		return true, nil
	case StatusCancelled:
		return false, because(ErrCancelled, "the download was cancelled")
	case StatusTooLarge:
		return false, because(ErrTooLarge, "the content has %d bytes, which is over the server's limit of %d",
			d.progress.TotalBytes, d.progress.BytesAdded)
	case StatusExpired:
		return false, because(ErrExpired, "the server has deleted the download; ask for the same nodes again")
	}
	switch {
	case m.server.refused != nil:
		return false, because(ErrUnauthorized, "%s", withReason("the server refuses the login", m.server.refused))
	case d.watch.fault != nil:
		return false, d.watch.fault
	case m.server.unreachable(now, m.unreachableTimeout):
		return false, because(ErrUnavailable, "%s",
			withReason("the server has not answered since "+stamp(m.server.failingSince), m.server.lastErr))
	case d.watch.failing(now, m.unreachableTimeout):
		return false, d.watch.failure()
	case d.watch.stalled:
		return false, because(ErrStalled, "the server has made no progress with this download for %s; it may have failed there",
			m.stallTimeout)
	}
	return false, nil
}

// mayRecover reports whether what verdict said may be otherwise after the next
// poll. Manager.mu is held.
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
