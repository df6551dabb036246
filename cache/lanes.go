package cache

import (
	"sync"
	"time"
)

// lanes decides how many streams run side by side for a reader. It starts with one.
// While readers wait for streams, and streams for the network, it tries as many as are
// allowed, and keeps them only if the throughput of all streams together rises. From time
// to time it checks whether half of them do as well. All archives come from one server
// over one link, so what one archive teaches holds for the next.
type lanes struct {
	mu      sync.Mutex
	max     int
	n       int // streams allowed side by side
	running int // streams that serve readers
	places  int // archives that such streams run for
	news    bool

	// The current measurement.
	since  time.Time
	bytes  int64
	wanted int64         // of them, those that came while a reader waited
	waited time.Duration // how long streams waited for the network, in sum
	spoilt bool          // a stream stood still, so the measurement says nothing

	// The current experiment, if n has changed.
	before  int     // n before the experiment, 0 if there is none
	rate    float64 // bytes/s before it
	settled bool    // the right number of streams run, at full speed
	proof   int     // measurements in its favour

	last  float64   // the measurement before this one, with the same n; 0 if none
	next  time.Time // the earliest time of the next experiment with more
	fails int       // experiments with more that failed, in a row
	check time.Time // when to try fewer, to see whether all are still needed
	holds int       // checks that found all needed, in a row
}

const (
	// laneEpoch is how long throughput is measured.
	laneEpoch = 200 * time.Millisecond
	// laneGain is the factor by which more streams must raise the throughput,
	// laneProof times in a row. On a busy machine, one measurement proves nothing.
	laneGain  = 1.25
	laneProof = 2
	// laneEnough is the rate of one stream, in bytes/s, above which the processor
	// rather than the network is the limit.
	laneEnough = 250e6
	// laneRetry is the pause after the first failed experiment. It doubles up to
	// laneRetryMax. laneCheck is the same for the first check whether fewer streams
	// do.
	laneRetry    = 5 * time.Second
	laneCheck    = 20 * time.Second
	laneRetryMax = 2 * time.Minute
)

// count adds to the number of streams that serve readers, and to the number of
// archives that have such streams. Either may be negative.
func (l *lanes) count(streams, archives int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running += streams
	l.places += archives
}

// archives returns the number of archives that have streams for readers, at least 1.
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

// changed reports whether the number allowed has changed since the last call.
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

// note counts n bytes that stream s received after it had waited for so long. wanted says
// that a reader waits.
func (l *lanes) note(n int, waited time.Duration, wanted bool, s *stream) {
	if s.background.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(n)
	l.waited += waited
	if wanted {
		l.wanted += int64(n)
	}
	now := time.Now()
	took := now.Sub(l.since)
	if took < laneEpoch {
		return
	}
	rate := float64(l.bytes) / took.Seconds()
	spoilt := l.spoilt || took > 5*laneEpoch || l.running < l.n || l.n < l.before && l.running > l.n
	network := 2*l.wanted >= l.bytes && 2*l.waited >= took*time.Duration(l.running)
	l.since, l.bytes, l.wanted, l.waited, l.spoilt = now, 0, 0, 0, false
	if !spoilt {
		l.judge(rate, network, now)
	}
}

// judge draws the conclusion from one valid measurement. network says that the network
// was the limit, and not the readers, the disk or the processors.
func (l *lanes) judge(rate float64, network bool, now time.Time) {
	last := l.last
	l.last = rate
	switch {
	case l.before != 0 && !l.settled:
		l.settled, l.last = true, 0
	case l.before != 0:
		// More streams have to bring more, fewer about as much.
		enough := rate >= l.rate*laneGain || l.n < l.before && rate >= l.rate/laneGain
		if !enough {
			l.refuse(now)
		} else if l.proof++; l.proof == laneProof {
			l.accept(now)
		}
	case last == 0:
	case l.n > 1 && !now.Before(l.check):
		l.try(l.n/2, min(rate, last))
	case network && l.n < l.max && !now.Before(l.next) && max(rate, last)/float64(l.n) < laneEnough:
		l.try(l.max, max(rate, last))
	}
}

// try begins an experiment with n streams.
func (l *lanes) try(n int, rate float64) {
	l.before, l.rate = l.n, rate
	l.settled, l.proof = false, 0
	l.n, l.news = n, true
}

// accept ends an experiment that succeeded. The next one may follow at once.
func (l *lanes) accept(now time.Time) {
	if l.n > l.before {
		l.fails, l.holds = 0, 0
		l.next, l.check = now, now.Add(laneCheck)
	} else {
		l.next, l.check = now.Add(laneRetry), now
	}
	l.before = 0
}

// refuse ends an experiment that failed.
func (l *lanes) refuse(now time.Time) {
	if l.n > l.before {
		l.next = now.Add(min(laneRetry<<min(l.fails, 10), laneRetryMax))
		l.fails++
	} else {
		l.check = now.Add(min(laneCheck<<min(l.holds, 10), laneRetryMax))
		l.holds++
	}
	l.n, l.before, l.last, l.news = l.before, 0, 0, true
}
