// Package meter counts the bytes that come from a [download.Source], and limits how
// fast they come, for all streams together. It wraps the source. Other requests to the
// server, such as those for a download's state, do not pass through it.
package meter

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"downloadfs/download"
)

const (
	// maxPiece is the most that is read at once. A block of the cache is as large.
	maxPiece = 1 << 20
	// minPiece keeps a slow limit from costing a system call for every few bytes.
	minPiece = 4 << 10
	// smooth is how long a piece takes: bytes trickle in and do not come in bursts, in
	// which a connection would stand still long enough to be dropped.
	smooth = 100 * time.Millisecond
)

// Meter limits and counts. Its methods are safe for concurrent use.
type Meter struct {
	count func(n int) // may be nil

	mu      sync.Mutex // guards what follows
	limiter *rate.Limiter
	limit   int64
	changed chan struct{} // closed and replaced when the limit changes
}

// New returns a meter that lets limit bytes a second pass; 0 means that it lets all
// pass at once. It calls count, if not nil, with each number of bytes that has come.
// count must not block.
func New(limit int64, count func(n int)) *Meter {
	m := &Meter{count: count, changed: make(chan struct{})}
	m.set(limit)
	return m
}

// Limit returns the limit in bytes a second; 0 means that there is none.
func (m *Meter) Limit() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limit
}

// SetLimit changes the limit. Streams that wait for the old limit go on by the new one.
func (m *Meter) SetLimit(limit int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(limit)
	close(m.changed)
	m.changed = make(chan struct{})
}

// set is SetLimit for a caller that holds mu.
func (m *Meter) set(limit int64) {
	m.limit, m.limiter = max(limit, 0), nil
	if limit > 0 {
		m.limiter = rate.NewLimiter(rate.Limit(limit), pieceOf(limit))
	}
}

func pieceOf(limit int64) int {
	return int(min(max(limit/int64(time.Second/smooth), minPiece), maxPiece))
}

// piece returns how much may be read at once.
func (m *Meter) piece() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limiter == nil {
		return maxPiece
	}
	return m.limiter.Burst()
}

// pass counts n bytes that have come and waits until they may pass, or ctx ends.
func (m *Meter) pass(ctx context.Context, n int) error {
	if m.count != nil {
		m.count(n)
	}
	for n > 0 {
		m.mu.Lock()
		if m.limiter == nil {
			m.mu.Unlock()
			return nil
		}
		part := min(n, m.limiter.Burst()) // the limit may have shrunk since they were read
		turn, changed := m.limiter.ReserveN(time.Now(), part), m.changed
		m.mu.Unlock()
		switch wait := turn.Delay(); {
		case wait == 0:
			n -= part
			continue
		default:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
				n -= part
			case <-changed: // they wait for another turn
				timer.Stop()
			case <-ctx.Done():
				timer.Stop()
				turn.Cancel()
				return ctx.Err()
			}
		}
	}
	return nil
}

// Source returns s, metered.
func (m *Meter) Source(s download.Source) download.Source { return source{m, s} }

type source struct {
	m *Meter
	s download.Source
}

// Stream implements [download.Source].
func (s source) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	body, err := s.s.Stream(ctx, a, off, end)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancelCause(ctx)
	return &stream{body, s.m, own, cancel}, nil
}

// stream is a metered stream.
type stream struct {
	io.ReadCloser
	m      *Meter
	ctx    context.Context // the caller's; Close ends it too
	cancel context.CancelCauseFunc
}

// Read implements io.Reader. It returns the bytes when they may pass.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), s.m.piece())])
	if waitErr := s.m.pass(s.ctx, n); waitErr != nil && err == nil {
		err = context.Cause(s.ctx)
	}
	return n, err
}

// Close ends the stream, and a Read that waits.
func (s *stream) Close() error {
	s.cancel(os.ErrClosed)
	return s.ReadCloser.Close()
}
