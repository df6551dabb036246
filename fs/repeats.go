package fs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"downloadfs/download"
)

// repeats holds the lists whose downloads are unfinished. A user who saves a file
// twice in an editor does not mean to ask twice. So the same list again from the same
// process is answered with the first one's download.
type repeats struct {
	mu    sync.Mutex // guards what follows
	asked map[asked]*repeat
	limit int // how many entries it takes before looking for finished ones is worth it
}

// asked is one list of one process.
type asked struct {
	opener int
	list   [sha256.Size]byte
}

// repeat is what became of a list.
type repeat struct {
	done chan struct{} // closed when what follows is set
	item item
	err  error
}

// create returns what create makes of l. If opener has asked for l before by the same
// name, and that is unfinished, it returns the earlier result. It waits for another
// caller's create until ctx ends.
func (r *repeats) create(ctx context.Context, opener int, name string, l download.List, create func() (item, error)) (_ item, again bool, _ error) {
	if opener == 0 {
		d, err := create()
		return d, false, err
	}
	key, mine := newAsked(opener, name, l), &repeat{done: make(chan struct{})}
	for {
		first := r.begin(key, mine)
		if first == mine {
			break
		}
		select {
		case <-first.done:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		if first.err == nil && unfinished(first.item) {
			return first.item, true, nil
		}
		r.forget(key, first)
	}
	defer close(mine.done)
	mine.err = download.ErrInternal
	mine.item, mine.err = create()
	return mine.item, false, mine.err
}

// begin returns the repeat for key: the one there is already, or else mine.
func (r *repeats) begin(key asked, mine *repeat) *repeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.asked) >= r.limit {
		r.sweepLocked()
		r.limit = 2*len(r.asked) + 64
	}
	if first := r.asked[key]; first != nil {
		return first
	}
	if r.asked == nil {
		r.asked = make(map[asked]*repeat)
	}
	r.asked[key] = mine
	return mine
}

func (r *repeats) sweepLocked() {
	for key, other := range r.asked {
		select {
		case <-other.done:
			if other.err != nil || !unfinished(other.item) {
				delete(r.asked, key)
			}
		default:
		}
	}
}

func (r *repeats) forget(key asked, first *repeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked[key] == first {
		delete(r.asked, key)
	}
}

func newAsked(opener int, name string, l download.List) asked {
	sum := sha256.New()
	fmt.Fprintln(sum, name)
	for _, e := range l.Entries {
		fmt.Fprintln(sum, string(e.Node)+e.Path) // neither contains a line end
	}
	return asked{opener, [sha256.Size]byte(sum.Sum(nil))}
}

// unfinished reports whether a download is still going on and has met no trouble.
func unfinished(d item) bool {
	s := d.Snapshot()
	return !s.Ready && !s.Status.Ended() && s.Err == nil
}
