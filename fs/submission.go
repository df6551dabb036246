package fs

import (
	"context"
	"math"
	"time"

	"downloadfs/download"
)

const (
	forEver time.Duration = math.MaxInt64
	// fsyncPatience bounds the wait in FSYNC. During that wait the kernel blocks
	// other writers of the control file, and they cannot be killed.
	fsyncPatience = 30 * time.Second
	// exitPatience bounds the wait of a process that ends without closing the control
	// file. No signal reaches it any more, and nobody reads its errno.
	exitPatience = 5 * time.Second
)

// submission is a list that was sent off. It goes on even if its waiters leave, so an
// interrupted wait can be resumed.
type submission struct {
	done chan struct{} // closed when the outcome is known
	err  error         // set before done is closed
}

func newSubmission() *submission { return &submission{done: make(chan struct{})} }

// ended reports whether the outcome is known.
func (s *submission) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// send asks for the download of a list. It calls outcome before those who wait for s
// go on.
func (f *filesystem) send(s *submission, opener int, name string, l download.List, outcome func(item, error)) {
	f.work.Go(func() {
		defer close(s.done)
		s.err = download.ErrInternal
		defer f.recovered("create")
		d, err := f.createOnce(opener, name, l)
		outcome(d, err)
		s.err = err
	})
}

// ask sends a list off. Its outcome becomes the handle's answer, unless another list
// was asked for meanwhile.
func (h *controlHandle) ask(list download.List) *submission {
	s := newSubmission()
	h.mu.Lock()
	h.asked = s
	h.mu.Unlock()
	h.node.fs.send(s, h.opener, "", list, func(d item, err error) {
		var id download.ID
		if err == nil {
			id = d.ID()
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.asked == s {
			h.setAnswerLocked(id, err)
		}
	})
	return s
}

// createOnce asks for a download, unless the same process has asked for the same list
// under the same name and that download is unfinished.
func (f *filesystem) createOnce(opener int, name string, list download.List) (item, error) {
	d, again, err := f.repeats.create(f.ctx, opener, name, list, func() (item, error) { return f.domain.Create(f.ctx, list) })
	switch {
	case again:
		f.setAgain(d.ID())
		f.log.Info("the request list was asked for already", "op", "create", "download", d.ID())
	case err == nil:
		f.touch()
	}
	return d, err
}

// wait returns the outcome of s, or why the caller of ctx stops waiting.
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
	if !s.ended() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == s {
		h.asked = nil
	}
}
