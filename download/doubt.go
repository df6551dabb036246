package download

import (
	"log/slog"
	"time"
)

// doubt is how long an answer is not believed that a node of a cluster could give
// which is behind the others, or a replica of its database. Such a node tells the
// past: that there is no such download yet, that this user may not see it, an
// earlier state, lower counters. It never tells of an end that has not come.
// Manager.mu guards it.
type doubt struct {
	answers int       // on end
	since   time.Time // the first
}

const (
	// An answer is believed when so many have come on end, over so long.
	confirmAnswers = 3
	confirmTime    = 5 * time.Second
	// unseenTime is for how long a server need not know what it has just made.
	unseenTime = time.Minute

	unseenSoonest = 500 * time.Millisecond
)

// confirmed takes in such an answer and reports whether it is to be believed, which
// it never is before until.
func (b *doubt) confirmed(now, until time.Time) bool {
	if b.answers++; b.answers == 1 {
		b.since = now
	}
	return b.answers >= confirmAnswers && now.Sub(b.since) >= confirmTime && !now.Before(until)
}

// pause is how long to wait before asking again; 0 while there is no doubt. What was
// just made will soon be known; of what is gone, there may be ten thousand.
func (b *doubt) pause(now, until time.Time) time.Duration {
	switch {
	case b.answers == 0:
		return 0
	case now.Before(until):
		return min(unseenSoonest<<min(b.answers-1, 4), confirmTime)
	}
	return confirmTime / (confirmAnswers - 1)
}

// level is that of the log record of such an answer: the first is news.
func (b *doubt) level() slog.Level {
	if b.answers == 1 {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// end takes in an answer of another kind.
func (b *doubt) end() { *b = doubt{} }

// unseenUntil is until when the server need not know d; zero if it has told of d
// already. Manager.mu is held.
func (d *Download) unseenUntil() time.Time {
	if d.watch.seen || d.progress.Status != StatusPending || d.createdAt.After(time.Now()) { // the clock was set back
		return time.Time{}
	}
	return d.createdAt.Add(unseenTime)
}

// behind reports whether p is what the server may have said before old.
func (p Progress) behind(old Progress) bool {
	if before, after := p.Status.rank(), old.Status.rank(); before != after {
		return before < after
	}
	return p.BytesAdded < old.BytesAdded || p.TotalBytes < old.TotalBytes || p.FilesAdded < old.FilesAdded || p.TotalFiles < old.TotalFiles
}

// rank is the order in which a download goes through its states.
func (s Status) rank() int {
	switch s {
	case StatusPending:
		return 0
	case StatusInProgress:
		return 1
	}
	return 2
}
