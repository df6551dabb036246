package download

import (
	"errors"
	"time"

	"downloadfs/download/schedule"
)

// serverState is what requests for all downloads say about the server itself.
// Manager.mu guards it.
type serverState struct {
	answered time.Time // the latest answer
	// alive is a clock that runs only while the server answers. A stall is measured on
	// it: neither a server's outage nor a suspended laptop counts as one.
	alive time.Duration

	fails        int // in a row, of all downloads
	failingSince time.Time
	failedAt     time.Time // the latest failure
	lastErr      error
	pace         schedule.Pace
	refused      error     // why the login was refused; nil again after an answer
	refusedAt    time.Time // when the latest refused request began
}

const (
	// maxSilence is the most that alive counts of the time between two answers.
	maxSilence = 30 * time.Second
	// lately is how long a failure says something about the server. While a download is
	// in trouble, it is asked more often.
	lately = 5 * time.Minute
	// failsToHold is how many failures in a row stop all polls but one probe.
	failsToHold = 3
)

// heard takes in the outcome of a request that began at began. It reports whether
// waiters of other downloads have to look again.
func (s *serverState) heard(err error, began, now time.Time) (announce bool) {
	switch {
	case errors.Is(err, ErrUnauthorized):
		s.refused, s.refusedAt = err, began
		s.fails = 0
		return true // some wait for a fresh answer
	case err == nil, isAny(err, ErrNotFound, ErrForbidden, ErrInvalid, ErrConflict, ErrArchived, ErrNotReady):
		if !s.answered.IsZero() {
			s.alive += min(now.Sub(s.answered), maxSilence)
		}
		announce = s.refused != nil || s.fails >= failsToHold
		s.answered = now
		s.fails, s.lastErr, s.refused = 0, nil, nil
		return announce
	case isAny(err, ErrProtocol, ErrInternal):
		return false // it does not say whether the server is there
	}
	if s.fails == 0 {
		s.failingSince = began
	}
	s.fails++
	s.failedAt, s.lastErr = now, err
	return s.fails >= failsToHold
}

func (s *serverState) failing() bool { return s.fails >= failsToHold }

func (s *serverState) unreachable(now time.Time, timeout time.Duration) bool {
	return s.failing() && now.Sub(s.failingSince) >= timeout
}

// silentSince returns since when the server has not answered. It returns zero while the
// server answers, and when nobody has asked it lately.
func (s *serverState) silentSince(now time.Time) time.Time {
	if s.fails == 0 || now.Sub(s.failedAt) > lately {
		return time.Time{}
	}
	return s.failingSince
}

// refusedSince reports whether a request that began at since or later was refused.
func (s *serverState) refusedSince(since time.Time) bool {
	return s.refused != nil && !s.refusedAt.Before(since)
}

// soonestProbe returns the earliest time to ask the server for a waiter who comes while
// it is in trouble.
func (s *serverState) soonestProbe() time.Time {
	if s.refused != nil {
		return s.refusedAt.Add(freshSpacing)
	}
	return s.failedAt.Add(time.Second)
}

// holdUntil returns when the next probe may be sent; zero while all is well.
func (s *serverState) holdUntil(now time.Time, waited bool) time.Time {
	switch {
	case s.refused != nil:
		// The Service makes sure that the account is not locked. It alone knows whether
		// a login is really sent.
		return now.Add(jitter(schedule.Slow))
	case s.failing():
		slowest := schedule.Slow
		if waited {
			slowest = schedule.Idle
		}
		return now.Add(jitter(min(time.Second<<min(s.fails-failsToHold, 6), slowest)))
	}
	return time.Time{}
}
