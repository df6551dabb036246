package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// oneFile is the download of one file of few bytes, whose counter does not move.
func oneFile(took time.Duration, bytes int64, p *Pace) simulated {
	s := steady(took/50, took, 0, bytes, 10*mb)
	s.pace = p
	return s
}

// watchFiles watches downloads of one file each, one after the other, whose pace
// varies by so much. It returns their latenesses after the first few, and the most polls.
func watchFiles(waver float64, shortest, longest time.Duration) (median, worst time.Duration, polls int) {
	const perByte = 1000 // nanoseconds
	rng := rand.New(rand.NewPCG(3, 4))
	var pace Pace
	var lates []time.Duration
	for i := range 120 {
		took := shortest + time.Duration(rng.Float64()*float64(longest-shortest))
		bytes := int64(float64(took) / perByte / (1 - waver + 2*waver*rng.Float64()))
		late, n := watchUntilDone(oneFile(took, bytes, &pace), 5*time.Millisecond)
		if i >= 20 {
			lates = append(lates, late)
			polls = max(polls, n)
		}
	}
	slices.Sort(lates)
	return lates[len(lates)/2], lates[len(lates)-1], polls
}

// Downloads of one file, whose counters do not move, are told from those before.
func TestPace(t *testing.T) {
	for _, row := range []struct {
		waver             float64
		shortest, longest time.Duration
		median            time.Duration
	}{
		{0, 300e6, 6e9, 100e6},
		{0, 300e6, 9.9e9, 100e6},
		{0, 6e9, 29e9, 150e6},
		{0.02, 300e6, 9.9e9, 150e6},
		{0.05, 300e6, 9.9e9, 150e6},
		{0.2, 300e6, 9.9e9, 300e6},
		{0.5, 300e6, 9.9e9, 700e6},
	} {
		median, worst, polls := watchFiles(row.waver, row.shortest, row.longest)
		t.Logf("%v: median %v, worst %v, polls %d", row, median, worst, polls)
		assert.LessOrEqual(t, median, row.median, "%v", row)
		assert.LessOrEqual(t, worst, 2200*time.Millisecond, "%v", row)
		assert.LessOrEqual(t, polls, 30, "%v", row)
	}
}
