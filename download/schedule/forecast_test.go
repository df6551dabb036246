package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sight is what one poll sees.
type sight struct {
	Counters
	done bool
}

// simulated is a server's counter as a function of the time since the start.
type simulated struct {
	done time.Duration
	at   func(t time.Duration) sight
	pace *Pace
}

// watchUntilDone polls as a forecast says, each poll taking rtt, and returns how long after
// DONE that was known, and the number of polls. The pace learns from it.
func watchUntilDone(s simulated, rtt time.Duration) (late time.Duration, polls int) {
	var f Forecast
	start := time.Unix(1e9, 0)
	f.Start(start, s.pace)
	now := start
	for {
		now = now.Add(f.Next(true))
		p := s.at(now.Add(rtt / 2).Sub(start))
		now = now.Add(rtt)
		polls++
		if p.done {
			if s.pace != nil {
				s.pace.Learn(&f, now)
			}
			return now.Sub(start) - s.done, polls
		}
		f.Observe(now, p.Counters)
	}
}

const mb = 1 << 20

// steady zips at an even pace, its counter moving by step at once.
func steady(pending, zipping, tail time.Duration, total, step int64) simulated {
	return simulated{done: pending + zipping + tail, at: func(t time.Duration) sight {
		p := sight{}
		if t < pending {
			return p
		}
		p.Begun, p.Total = true, total
		if t >= pending+zipping {
			p.Added = total
		} else {
			p.Added = int64(float64(total) * float64(t-pending) / float64(zipping))
			p.Added -= p.Added % step
		}
		if t >= pending+zipping+tail {
			p.done = true
		}
		return p
	}}
}

// files zips files of random sizes with a wavering pace, its counter moving at
// the start of each file and every 10 MB in it.
func files(rng *rand.Rand, zipping time.Duration, n int, total int64, waver float64) simulated {
	type point struct {
		at    time.Duration
		added int64
	}
	sizes := make([]float64, n)
	sum := 0.0
	for i := range sizes {
		sizes[i] = rng.ExpFloat64()
		sum += sizes[i]
	}
	var points []point
	added, took := 0.0, 0.0
	for _, s := range sizes {
		size := s / sum * float64(total)
		pace := 1 + waver*(2*rng.Float64()-1)
		for left := size; left > 0; left -= 10 * mb {
			points = append(points, point{time.Duration(took), int64(added)})
			chunk := min(left, 10*mb)
			added += chunk
			took += chunk * pace
		}
	}
	scale := float64(zipping) / took
	return simulated{done: zipping, at: func(t time.Duration) sight {
		p := sight{Counters: Counters{Begun: true, Total: total}}
		if t >= zipping {
			p.done, p.Added = true, total
			return p
		}
		for _, pt := range points {
			if float64(pt.at)*scale > float64(t) {
				break
			}
			p.Added = pt.added
		}
		return p
	}}
}

// spread is how the latencies of many downloads are spread.
type spread struct {
	median, worst time.Duration
	polls         int // at most
}

// watchMany watches downloads of a kind with durations between min and max.
func watchMany(rng *rand.Rand, kind func(*rand.Rand, time.Duration) simulated, shortest, longest time.Duration) spread {
	var lates []time.Duration
	var s spread
	for range 100 {
		took := shortest + time.Duration(rng.Float64()*float64(longest-shortest))
		late, polls := watchUntilDone(kind(rng, took), 20*time.Millisecond)
		lates = append(lates, late)
		s.polls = max(s.polls, polls)
	}
	slices.Sort(lates)
	s.median, s.worst = lates[len(lates)/2], lates[len(lates)-1]
	return s
}

// With the forecast, waiters go on at the median within 150 ms of DONE and never later
// than 2.2 s, while a download of 30 s costs 30 polls. If the counter tells nothing,
// this median cannot be reached; those rows give the one that is.
func TestForecastTargets(t *testing.T) {
	const none = mostWaited
	kinds := []struct {
		name string
		// The required median for downloads of up to 6 s, up to 20 s, about 30 s, and
		// up to 2 minutes.
		median [4]time.Duration
		make   func(rng *rand.Rand, took time.Duration) simulated
	}{
		{"moves evenly", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d, 0, 300*mb, 1) }},
		{"moves evenly after a queue", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(d/4, d*3/4, 0, 300*mb, 1) }},
		{"one file of 300 MB in steps of 10", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d, 0, 300*mb, 10*mb) }},
		{"one file of 95 MB in steps of 10", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d, 0, 95*mb, 10*mb) }},
		{"one file of 33 MB in steps of 10", [4]time.Duration{150e6, 300e6, 600e6, 300e6},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d, 0, 33*mb, 10*mb) }},
		{"100 files", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(rng *rand.Rand, d time.Duration) simulated { return files(rng, d, 100, 300*mb, 0) }},
		{"100 files at a wavering pace", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(rng *rand.Rand, d time.Duration) simulated { return files(rng, d, 100, 300*mb, 0.5) }},
		{"20 small files at a wavering pace", [4]time.Duration{150e6, 200e6, 400e6, 400e6},
			func(rng *rand.Rand, d time.Duration) simulated { return files(rng, d, 20, 50*mb, 0.5) }},
		{"all added for the last tenth", [4]time.Duration{150e6, 600e6, none, none},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d*9/10, d/10, 300*mb, 10*mb) }},
		{"all added from the beginning", [4]time.Duration{none, none, none, none},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d/100, d*99/100, 300*mb, 10*mb) }},
		{"never moves", [4]time.Duration{none, none, none, none},
			func(_ *rand.Rand, d time.Duration) simulated { return steady(0, d, 0, 5*mb, 10*mb) }},
		{"never moves, but the pace is known", [4]time.Duration{150e6, 250e6, 500e6, 700e6},
			func(rng *rand.Rand, d time.Duration) simulated {
				s := steady(0, d, 0, 5*mb, 10*mb)
				usual := float64(d) / (5 * mb) * (0.9 + 0.2*rng.Float64())
				s.pace = &Pace{usual, usual, firstDoubt}
				return s
			}},
		{"fast, then three times as slow", [4]time.Duration{150e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return uneven(d, 3) }},
		{"slow, then three times as fast", [4]time.Duration{250e6, 150e6, 150e6, 150e6},
			func(_ *rand.Rand, d time.Duration) simulated { return uneven(d, 1.0/3) }},
	}
	spans := [4][2]time.Duration{{100e6, 6e9}, {6e9, 20e9}, {29.9e9, 30e9}, {30e9, 120e9}}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			for i, span := range spans {
				s := watchMany(rng, kind.make, span[0], span[1])
				t.Logf("%v to %v: median %v, worst %v, polls %d", span[0], span[1], s.median, s.worst, s.polls)
				assert.LessOrEqual(t, s.median, kind.median[i], "median, %v to %v", span[0], span[1])
				assert.LessOrEqual(t, s.worst, 2200*time.Millisecond, "worst, %v to %v", span[0], span[1])
				if span[1] <= 30*time.Second {
					assert.LessOrEqual(t, s.polls, 30, "polls, %v to %v", span[0], span[1])
				}
			}
		})
	}
}

// uneven moves evenly, but the second half of the bytes takes by times as long.
func uneven(took time.Duration, by float64) simulated {
	first := time.Duration(float64(took) / (1 + by))
	const total = 300 * mb
	return simulated{done: took, at: func(t time.Duration) sight {
		p := sight{Counters: Counters{Begun: true, Total: total}}
		switch {
		case t >= took:
			p.done, p.Added = true, total
		case t < first:
			p.Added = int64(float64(total/2) * float64(t) / float64(first))
		default:
			p.Added = total/2 + int64(float64(total/2)*float64(t-first)/float64(took-first))
		}
		return p
	}}
}

func TestForecastOfADownloadThatNeverEnds(t *testing.T) {
	for _, p := range []Counters{
		{},
		{Begun: true, Added: 5, Total: 10},
		{Begun: true, Added: 10, Total: 10},
	} {
		now := time.Unix(1e9, 0)
		var f Forecast
		f.Start(now, nil)
		polls := 0
		for end := now.Add(time.Hour); now.Before(end); polls++ {
			wait := f.Next(true)
			require.GreaterOrEqual(t, wait, Soonest)
			require.LessOrEqual(t, wait, mostWaited)
			now = now.Add(wait)
			f.Observe(now, p)
		}
		assert.Less(t, polls, 2800, "0.75 a second")
	}
}

func TestForecastWhileNobodyWaits(t *testing.T) {
	now := time.Unix(1e9, 0)
	var f Forecast
	f.Start(now, nil)
	var waits []time.Duration
	for range 8 {
		waits = append(waits, f.Next(false))
		now = now.Add(f.Next(false))
		f.Observe(now, Counters{Begun: true})
	}
	s := time.Second
	assert.Equal(t, []time.Duration{s / 2, s / 2, s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}, waits)
}

// A server's counters may be anything: no wait is out of bounds.
func FuzzForecast(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x30\xff\xfe"), int64(100))
	f.Fuzz(func(t *testing.T, moves []byte, total int64) {
		now := time.Unix(1e9, 0)
		var fc Forecast
		var pace Pace
		fc.Start(now, &pace)
		added := int64(0)
		for _, b := range moves {
			wait := fc.Next(b&1 == 0)
			require.GreaterOrEqual(t, wait, Soonest)
			require.LessOrEqual(t, wait, Idle)
			now = now.Add(wait)
			if added += int64(b) << (b % 60); added < 0 {
				added = 0
			}
			fc.Observe(now, Counters{Begun: true, Added: added, Total: total})
			require.LessOrEqual(t, len(fc.moves), maxMoves)
		}
		pace.Learn(&fc, now)
		fc.Start(now, &pace)
		fc.Observe(now, Counters{Begun: true, Total: total})
		require.GreaterOrEqual(t, fc.Next(true), Soonest)
		require.LessOrEqual(t, fc.Next(true), mostWaited)
	})
}
