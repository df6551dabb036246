package cache

import (
	"slices"
	"sync"
	"time"
)

// skipCost learns whether the source pays for a stream's offset. A server over object
// storage reads an archive from its beginning to reach a range. A server that cannot
// skip at all leaves that to the client. In both cases, reading a long way through
// costs less than another stream, and the bytes on the way are worth keeping. All
// archives come from one server, so this is learnt once.
type skipCost struct {
	mu    sync.Mutex
	base  time.Duration // the fastest opening of a stream
	rate  float64       // bytes/s of a stream, the latest blocks' mean
	opens []*skipSample // the latest, in order
}

// skipSample is one opening of a stream.
type skipSample struct {
	off   int64
	began time.Time
	took  time.Duration // 0 while it goes on
}

const (
	// skipNoise is how long reading up to an offset must take, at least, before the
	// opening of a stream there says anything. From skipLong on, one opening is
	// proof.
	skipNoise = 150 * time.Millisecond
	skipLong  = 8 * skipNoise
	// skipDear is the share of that time from which an opening counts as paying for
	// its offset. Of the latest skipLook openings that say anything, skipSure have to
	// pay.
	skipDear = 0.3
	skipLook = 4
	skipSure = 3
	// skipKept is how many openings are kept, and skipLife is for how long. Something
	// else may have made them slow, and it may have passed.
	skipKept = 16
	skipLife = 10 * time.Minute
)

// opening notes that a stream at off is being opened.
func (k *skipCost) opening(off int64) *skipSample {
	s := &skipSample{off: off, began: time.Now()}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opens = append(k.opens, s); len(k.opens) > skipKept {
		k.opens = slices.Delete(k.opens, 0, 1)
	}
	return s
}

// opened notes that the first byte has arrived, or that it will not come.
func (k *skipCost) opened(s *skipSample, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.opens = slices.DeleteFunc(k.opens, func(o *skipSample) bool { return o == s })
		return
	}
	s.took = max(1, time.Since(s.began))
	if k.base == 0 || s.took < k.base {
		k.base = s.took
	}
}

// received notes that a block of n bytes arrived in one go, and how long it took.
func (k *skipCost) received(n int, took time.Duration) {
	if took <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	rate := float64(n) / took.Seconds()
	if k.rate > 0 {
		rate = k.rate + (rate-k.rate)/8
	}
	k.rate = rate
}

// dear reports whether the source pays for offsets.
func (k *skipCost) dear() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rate == 0 {
		return false
	}
	sure, looked := 0, 0
	for _, s := range slices.Backward(k.opens) {
		read := time.Duration(float64(s.off) / k.rate * float64(time.Second))
		if read < skipNoise || time.Since(s.began) > skipLife || looked == skipLook {
			continue
		}
		took := s.took
		if took == 0 {
			took = time.Since(s.began)
		}
		switch {
		case took-k.base < time.Duration(skipDear*float64(read)):
		case read >= skipLong:
			sure += skipSure
		default:
			sure++
		}
		if s.took > 0 {
			looked++
		}
	}
	return sure >= skipSure
}
