package schedule

import (
	"math"
	"slices"
	"time"
)

// Forecast decides how long to wait before a download's next poll. It learns from the
// counters when the download will probably be DONE, and saves polls for that moment.
// Waiters go on soon after DONE, and yet a download of 30 seconds costs no more than 30
// polls. Forecast has no clock: you hand in the times.
//
// The real server's counter moves at the start of each file and every 10 MB. A poll
// that sees it move tells that it passed that count since the poll before. A poll that
// sees it stand tells nothing. Together, the moves of a steady pace give an interval in
// which the end must lie. It is narrow when the counter moves often.
type Forecast struct {
	began time.Time // when watching began, or the first poll
	last  time.Time // the latest poll
	seen  Counters  // at that poll

	pace *Pace // of the downloads before; may be nil

	savings float64   // polls that may be made now (see ration)
	zipping move      // when zipping began
	moves   []move    // the latest, oldest first
	full    time.Time // when all bytes were first seen added
}

// Counters are what one poll saw.
type Counters struct {
	// Begun: the server is zipping, or has ended.
	Begun bool
	// Added and Total are bytes of content; Total is 0 while it is not known.
	Added, Total int64
}

// move says that the counter passed added later than after and not later than by.
type move struct {
	after, by time.Time
	added     int64
}

const (
	maxMoves = 12

	// Soonest is the least time between polls. Idle is the usual time while nobody
	// waits. Slow is the time for a download in trouble.
	Soonest    = 50 * time.Millisecond
	dense      = 80 * time.Millisecond
	mostWaited = 2000 * time.Millisecond // together with the request, within 2.2 s of DONE
	Idle       = 10 * time.Second
	Slow       = time.Minute

	// Polls are rationed: rationStart at first, rationRate more per second, and at most
	// rationStart saved up. That is 29 in the first 30 seconds.
	rationStart = 13.0
	rationRate  = 0.53
	rationLater = 0.75 // from the 30th second on
	// rationKept polls are kept back as long as there is no forecast.
	rationKept = 2.0
	// rationGrowth is how fast the time between polls grows while there is no forecast.
	rationGrowth = 0.45
	// rationPending is the same while zipping has not begun.
	rationPending = 0.7
)

// Start says that watching begins at now, before the first poll. What pace learns
// later counts too. It may be nil.
func (f *Forecast) Start(now time.Time, pace *Pace) {
	*f = Forecast{began: now, last: now, pace: pace, savings: rationStart}
}

// took returns the least and the most nanoseconds that a byte took in a download that
// was DONE at now, or 0 when that is not well known.
func (f *Forecast) took(now time.Time) (least, most float64) {
	if f.zipping.by.IsZero() || f.seen.Total == 0 {
		return 0, 0
	}
	shortest, longest := f.last.Sub(f.zipping.by), now.Sub(f.zipping.after)
	if longest > 2*shortest || shortest < time.Second/2 {
		return 0, 0
	}
	return float64(shortest) / float64(f.seen.Total), float64(longest) / float64(f.seen.Total)
}

// Observe takes in an answer that came at now.
func (f *Forecast) Observe(now time.Time, c Counters) {
	if f.began.IsZero() { // it was not watched from the beginning
		f.Start(now, f.pace)
		f.seen = c
	}
	f.savings = min(f.savings+f.ration()*now.Sub(f.last).Seconds(), rationStart) - 1
	if !f.seen.Begun && c.Begun {
		f.zipping = move{f.last, now, 0}
		f.moves = append(f.moves[:0], f.zipping)
	}
	if c.Added > f.seen.Added {
		if len(f.moves) == maxMoves {
			f.moves = append(f.moves[:0], f.moves[1:]...)
		}
		f.moves = append(f.moves, move{f.last, now, c.Added})
	}
	f.last, f.seen = now, c
	switch {
	case c.Total == 0 || c.Added < c.Total:
		f.full = time.Time{}
	case f.full.IsZero():
		f.full = now
	}
}

// Next returns how long after the latest poll the next one is due.
func (f *Forecast) Next(waited bool) time.Duration {
	elapsed := f.last.Sub(f.began)
	if !waited {
		return min(max(elapsed, 10*Soonest), Idle)
	}
	growth, kept := rationGrowth, rationKept
	if !f.seen.Begun {
		growth = rationPending
	}
	wait := time.Duration(growth * float64(elapsed))
	if early, late, ok := f.end(); ok {
		kept = 0
		switch before := early.Sub(f.last); {
		case before > 2*mostWaited:
			wait = mostWaited
		case before > mostWaited:
			wait = before / 2
		case before > dense:
			wait = before
		case late.After(f.last):
			wait = max(late.Sub(f.last)/time.Duration(max(f.savings-2, 2)), dense)
		default:
			// Overdue, and nobody knows for how long: stretch the saved polls over a
			// third of the time so far.
			over := max(f.last.Sub(late), 2*dense)
			growth := math.Pow(max(float64(elapsed/3)/float64(over), 1.5), 1/max(f.savings, 1)) - 1
			wait = max(time.Duration(min(growth, 1)*float64(over)), dense)
		}
		wait = min(wait, elapsed*3/2) // little has been seen so far
	}
	if short := kept + 1 - f.savings; short > 0 {
		wait = max(wait, time.Duration(short/f.ration()*float64(time.Second)))
	}
	return min(max(wait, Soonest), mostWaited)
}

// NextAt returns when the next poll is due.
func (f *Forecast) NextAt(waited bool) time.Time { return f.last.Add(f.Next(waited)) }

// Forget drops what was learned. It takes memory and is of no use once the download has
// ended.
func (f *Forecast) Forget() { f.moves = nil }

// ration returns how many polls per second are granted.
func (f *Forecast) ration() float64 {
	if f.last.Sub(f.began) < 30*time.Second {
		return rationRate
	}
	return rationLater
}

// end returns the two moments between which the download will probably be DONE.
func (f *Forecast) end() (early, late time.Time, ok bool) {
	if !f.full.IsZero() {
		return f.full, f.full, true
	}
	if f.seen.Total == 0 {
		return early, late, false
	}
	if len(f.moves) == 1 && f.moves[0].added == 0 {
		return f.pace.end(f.zipping.after, f.zipping.by, f.seen.Total)
	}
	// The pace may change: believe the latest moves that fit together.
	for moves := f.moves; len(moves) >= 2; moves = moves[1:] {
		least, most := slowness(moves)
		if least > most {
			continue
		}
		if sharp := sharpen(moves, (least+most)/2); sharp != nil {
			if l, m := slowness(sharp); l <= m {
				moves, least, most = sharp, l, m
			}
		}
		early, late = moves[0].after, moves[0].by.Add(time.Hour*24*365)
		for _, m := range moves {
			left := float64(f.seen.Total - m.added)
			if at := m.after.Add(time.Duration(least * left)); at.After(early) {
				early = at
			}
			if at := m.by.Add(time.Duration(most * left)); at.Before(late) {
				late = at
			}
		}
		// The real pace is not as steady as that.
		const doubt = 40
		return early.Add(-max(early.Sub(f.last), 0) / doubt), late.Add(max(late.Sub(f.last), 0) / doubt), true
	}
	return early, late, false
}

// sharpen narrows moves by how far the counter can be behind. That is the largest move
// at once that was seen in polls shortly after each other, and 10 MB at most.
func sharpen(moves []move, slowness float64) []move {
	behind := int64(0)
	for i, m := range moves[1:] {
		if m.by.Sub(m.after) <= 250*time.Millisecond {
			behind = max(behind, m.added-moves[i].added)
		}
	}
	if behind == 0 || behind > 10<<20 {
		behind = 10 << 20
	}
	sharp := slices.Clone(moves)
	for i := range sharp {
		m := &sharp[i]
		if i == 0 && m.added == 0 {
			continue
		}
		if at := m.by.Add(-time.Duration(1.2 * float64(behind) * slowness)); at.After(m.after) {
			m.after = at
		}
	}
	return sharp
}

// slowness returns the bounds of the nanoseconds per byte that fit all moves; least >
// most when no steady pace fits.
func slowness(moves []move) (least, most float64) {
	most = 1e18
	for j, b := range moves {
		for _, a := range moves[:j] {
			bytes := float64(b.added - a.added)
			least = max(least, float64(b.after.Sub(a.by))/bytes)
			most = min(most, float64(b.by.Sub(a.after))/bytes)
		}
	}
	return least, most
}
