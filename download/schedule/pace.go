package schedule

import "time"

// Pace is how long the server takes to zip a byte, as the downloads tell that have
// ended. A server counts a file's bytes every 10 MB only: nothing else tells when a
// download of one small file will be DONE. The zero value knows nothing. A Pace is not
// safe for concurrent use.
type Pace struct {
	least, most float64 // nanoseconds a byte; it lies between them, give or take doubt
	doubt       float64
}

const (
	firstDoubt = 0.10
	leastDoubt = 0.025
	mostDoubt  = 0.25
)

// Learn takes in a download that was DONE at now. It learns nothing from one whose
// beginning or end was not well seen.
func (p *Pace) Learn(f *Forecast, now time.Time) {
	least, most := f.took(now)
	switch {
	case most == 0:
	case p.most == 0:
		*p = Pace{least, most, firstDoubt}
	case least <= p.most && most >= p.least:
		// It agrees, and may narrow what is known.
		*p = Pace{max(p.least, least), min(p.most, most), max(p.doubt/2, leastDoubt)}
	default:
		off := max(least/p.most, p.least/most) - 1
		*p = Pace{least, most, min(max(p.doubt, 2*off), mostDoubt)}
	}
}

// end returns between which moments the zip of so many bytes will be there that began
// after one moment and not later than another. It is not ok if the pace is not known.
func (p *Pace) end(after, by time.Time, bytes int64) (early, late time.Time, ok bool) {
	if p == nil || p.most == 0 {
		return early, late, false
	}
	n := float64(bytes)
	return after.Add(time.Duration(n * p.least * (1 - p.doubt))), by.Add(time.Duration(n * p.most * (1 + p.doubt))), true
}
