package cache

import (
	"sync"
	"time"
)

// lanes decides how many streams run side by side for a reader. It starts with
// one, adds more while the readers wait for the network, and keeps an addition
// only if the throughput of all streams together rose by it. All archives come
// from one server over one link, so what was learnt from one holds for the next.
type lanes struct {
	mu      sync.Mutex
	max     int
	n       int // streams allowed side by side
	running int // streams that serve readers
	places  int // archives that such streams run for
	news    bool

	// The measurement under way.
	since  time.Time
	bytes  int64
	spoilt bool // a stream stood still or came or went: it says nothing

	// The experiment under way.
	trying  bool
	settled bool    // the new streams are up to speed
	before  int     // n before it
	rate    float64 // bytes/s before it
	next    time.Time
	pauses  int // failed experiments in a row
}

const (
	// laneEpoch is how long throughput is measured.
	laneEpoch = 200 * time.Millisecond
	// laneGain is by which factor the throughput must rise when the number of
	// streams is doubled.
	laneGain = 1.25
	// laneEnough is the rate of one stream, in bytes/s, above which the processor
	// rather than the network is the limit.
	laneEnough = 250e6
	// laneRetry is the pause after the first failed experiment; it doubles.
	laneRetry    = 5 * time.Second
	laneRetryMax = 2 * time.Minute
)

// count counts streams that serve readers, and archives that have some, up or
// down.
func (l *lanes) count(streams, archives int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running += streams
	l.places += archives
}

// archives returns for how many archives streams serve readers, at least 1.
func (l *lanes) archives() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(1, l.places)
}

// allowed returns how many streams one reader may have.
func (l *lanes) allowed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// changed reports whether the number allowed has risen since the last call.
func (l *lanes) changed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.news
	l.news = false
	return news
}

// pause notes that a stream stands still because it is far enough ahead: the
// reader is slower than the network.
func (l *lanes) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoilt = true
}

// note counts n bytes that stream s received.
func (l *lanes) note(n int, s *stream) {
	if s.background.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(n)
	now := time.Now()
	took := now.Sub(l.since)
	if took < laneEpoch {
		return
	}
	rate := float64(l.bytes) / took.Seconds()
	spoilt := l.spoilt || took > 5*laneEpoch || l.running < l.n
	l.since, l.bytes, l.spoilt = now, 0, false
	if spoilt {
		return
	}
	l.judge(rate, now)
}

// judge draws the conclusion from one valid measurement.
func (l *lanes) judge(rate float64, now time.Time) {
	switch {
	case l.trying && !l.settled:
		l.settled = true
	case l.trying && rate >= l.rate*laneGain:
		l.trying, l.pauses = false, 0
		l.next = now
	case l.trying:
		l.n, l.trying = l.before, false
		l.next = now.Add(min(laneRetry<<min(l.pauses, 10), laneRetryMax))
		l.pauses++
	case l.n < l.max && !now.Before(l.next) && rate/float64(l.n) < laneEnough:
		l.before, l.rate = l.n, rate
		l.n = min(2*l.n, l.max)
		l.trying, l.settled, l.news = true, false, true
	}
}
