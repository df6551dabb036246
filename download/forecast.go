package download

import "time"

// forecast decides how long to wait before a download's next poll. It knows no
// clock: times are handed in.
type forecast struct {
	began time.Time // the first poll
	last  time.Time // the latest poll
	polls int
}

const (
	pollSoonest = 50 * time.Millisecond
	pollWaited  = 1900 * time.Millisecond // with the request itself within 2.2 s of DONE
	pollIdle    = 10 * time.Second
	pollSlow    = time.Minute
)

// start says that watching begins at now, before the first poll.
func (f *forecast) start(now time.Time) { *f = forecast{began: now, last: now} }

// observe takes in an answer that came at now.
func (f *forecast) observe(now time.Time, p Progress) {
	if f.began.IsZero() {
		f.began = now
	}
	f.polls++
	f.last = now
}

// next returns how long after the latest poll the next one is due.
func (f *forecast) next(waited bool) time.Duration {
	elapsed := f.last.Sub(f.began)
	if waited {
		return min(max(elapsed/2, pollSoonest), pollWaited)
	}
	return min(max(elapsed, 10*pollSoonest), pollIdle)
}
