package fs

import (
	"context"
	"sync"
	"time"
)

// lister says what is shown to a caller that lists a download's directory.
type lister struct {
	desktop  bool // it is a program of a desktop
	trashing bool // it is KIO's worker for the trash
}

// listers remembers for a moment which kind of program a thread runs. Finding out
// costs more than the listing, and a program that walks through all downloads lists
// one directory after the other.
type listers struct {
	mu    sync.Mutex // guards what follows
	known map[int]knownLister
}

type knownLister struct {
	lister
	since time.Time
}

// lister returns what is shown to the caller.
func (f *filesystem) lister(ctx context.Context) lister {
	const most, recently = 1024, 2 * time.Second
	pid, now := callerPID(ctx), time.Now()
	if pid == 0 {
		return lister{}
	}
	f.listers.mu.Lock()
	known, ok := f.listers.known[pid]
	f.listers.mu.Unlock()
	if ok && now.Sub(known.since) < recently {
		return known.lister
	}
	l := lister{desktop: f.callers.desktop(f.callers.tgid(pid)), trashing: f.trashing(ctx)}
	f.listers.mu.Lock()
	defer f.listers.mu.Unlock()
	if f.listers.known == nil || len(f.listers.known) >= most {
		f.listers.known = make(map[int]knownLister)
	}
	f.listers.known[pid] = knownLister{l, now}
	return l
}
