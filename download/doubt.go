package download

import (
	"log/slog"
	"time"
)

// doubt counts answers that may come from a node of a cluster that is behind the
// others, or from a replica of its database. They are not believed for a while. Such a
// node tells the past: that there is no such download yet, that this user may not see
// it, an earlier state, lower counters. It never tells of an end that has not come.
// Manager.mu guards it.
type doubt struct {
	answers int       // in a row
	since   time.Time // of the first
}

const (
	// An answer is believed when this many have come in a row, over this long.
	confirmAnswers = 3
	confirmTime    = 5 * time.Second
	// unseenTime is how long the server need not know a download that it has just made.
	unseenTime = time.Minute

	unseenSoonest = 500 * time.Millisecond
)

// confirmed takes in such an answer and reports whether to believe it. It never does
// before until.
func (b *doubt) confirmed(now, until time.Time) bool {
	if b.answers++; b.answers == 1 {
		b.since = now
	}
	return b.answers >= confirmAnswers && now.Sub(b.since) >= confirmTime && !now.Before(until)
}

// pause returns how long to wait before asking again; 0 while there is no doubt. A
// download that was just made will soon be known, so it is asked for often. There may
// be ten thousand that are gone, so they are asked for less often.
func (b *doubt) pause(now, until time.Time) time.Duration {
	switch {
	case b.answers == 0:
		return 0
	case now.Before(until):
		return min(unseenSoonest<<min(b.answers-1, 4), confirmTime)
	}
	return confirmTime / (confirmAnswers - 1)
}

// level returns the level of the log record for such an answer: the first is news.
func (b *doubt) level() slog.Level {
	if b.answers == 1 {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// end takes in an answer of another kind.
func (b *doubt) end() { *b = doubt{} }

// unseenUntil returns the time until which the server need not know d; zero if it has
// told of d already. Manager.mu is held.
func (d *Download) unseenUntil() time.Time {
	if d.watch.seen || d.progress.Status != StatusPending || d.createdAt.After(time.Now()) { // the clock was set back
		return time.Time{}
	}
	return d.createdAt.Add(unseenTime)
}

// behind reports whether the server may have said p before old.
func (p Progress) behind(old Progress) bool {
	if before, after := p.Status.rank(), old.Status.rank(); before != after {
		return before < after
	}
	return p.BytesAdded < old.BytesAdded || p.TotalBytes < old.TotalBytes || p.FilesAdded < old.FilesAdded || p.TotalFiles < old.TotalFiles
}

// rank returns the place of s in the order in which a download goes through its states.
func (s Status) rank() int {
	switch s {
	case StatusPending:
		return 0
	case StatusInProgress:
		return 1
	}
	return 2
}
