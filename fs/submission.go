package fs

import (
	"context"
	"errors"
	"math"
	"time"

	"downloadfs/download"
)

const (
	forEver time.Duration = math.MaxInt64
	// fsyncPatience bounds the wait in FSYNC: meanwhile the kernel keeps other
	// writers of the control file waiting, and those cannot be killed.
	fsyncPatience = 30 * time.Second
	// exitPatience bounds the wait of a process that ends without closing the
	// control file: no signal reaches it any more, and nobody reads its errno.
	exitPatience = 5 * time.Second
)

// errPanicked: what became of a list is in the log.
var errPanicked = errors.New("internal error, the log says more")

// submission is a list that was sent off. It goes on whatever becomes of those
// who wait for it, so that a wait that was interrupted can be taken up again.
type submission struct {
	done chan struct{} // closed when the outcome is known
	err  error         // set before that
}

// ask sends a list off. The handle's answer is its outcome, unless another list
// was asked for meanwhile.
func (h *controlHandle) ask(list download.List) *submission {
	f, s := h.node.fs, &submission{done: make(chan struct{})}
	h.mu.Lock()
	h.asked = s
	h.mu.Unlock()
	f.work.Go(func() {
		defer close(s.done)
		s.err = errPanicked
		defer f.recovered("create")
		var id download.ID
		d, err := f.createOnce(h.opener, "", list)
		if err == nil {
			id = d.ID()
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.asked == s {
			h.setAnswerLocked(id, err)
		}
		s.err = err
	})
	return s
}

// createOnce asks for a download, unless the same process has asked for the same
// under the same name and that is unfinished.
func (f *filesystem) createOnce(opener int, name string, list download.List) (item, error) {
	d, again, err := f.repeats.create(f.ctx, opener, name, list, func() (item, error) { return f.domain.Create(f.ctx, list) })
	switch {
	case again:
		f.setAgain(d.ID())
		f.log.Info("the list was asked for already", "op", "create", "download", d.ID())
	case err == nil:
		f.touch()
	}
	return d, err
}

// wait returns what became of s, or why the caller of ctx waits no longer.
func (s *submission) wait(ctx context.Context, f *filesystem, patience time.Duration) error {
	work, stop := f.interruptible(ctx)
	defer stop()
	patient, cancel := context.WithTimeout(work, patience)
	defer cancel()
	select {
	case <-s.done:
		return s.err
	case <-patient.Done():
		return patient.Err()
	}
}

// told forgets s once its outcome is known.
func (h *controlHandle) told(s *submission) {
	select {
	case <-s.done:
	default:
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == s {
		h.asked = nil
	}
}
