package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"sync"
	"time"
)

const (
	// answerWithin is how long a small request may take, and each MiB of a body.
	answerWithin = 10 * time.Second
	// writtenWithin is how long the writing of a piece may take.
	writtenWithin = 2 * time.Minute
	// listedWithin is how long a listing may take.
	listedWithin = 30 * time.Second
	// A store that fails is left alone for leaveAlone, then twice that, up to
	// leaveAloneMax. A store that only refuses to write is still read.
	leaveAlone    = time.Second
	leaveAloneMax = time.Minute
	// maxInFlight bounds the requests at once, with those that were given up because
	// the store hangs. A file of a dead NFS server hangs for ever.
	maxInFlight = 64
)

// guard stands in front of a store that may hang or fail. Each call ends in time, also
// where the store itself cannot be interrupted. After a failure it refuses for a while,
// so that a broken store costs its readers hardly any time.
type guard struct {
	store  Store
	log    *slog.Logger
	slots  chan struct{}
	reads  breaker
	writes breaker
}

// breaker is how a store has answered the requests of one kind lately.
type breaker struct {
	mu    sync.Mutex // guards what follows
	fails int        // in a row
	until time.Time  // the store is left alone
}

func newGuard(store Store, log *slog.Logger) *guard {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &guard{store: store, log: log, slots: make(chan struct{}, maxInFlight)}
}

// down reports whether the store is not read now.
func (g *guard) down() bool { return g.reads.open(time.Now()) }

// open reports whether the store is left alone.
func (b *breaker) open(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.until)
}

// heard takes in the outcome of a call, and returns how many before it had failed in a
// row. It reports false if the outcome says nothing new.
func (b *breaker) heard(now time.Time, failed bool) (fails int, news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fails = b.fails
	switch {
	case !failed:
		b.fails, b.until = 0, time.Time{}
	case now.Before(b.until):
		return fails, false // it was asked before that
	default:
		b.until = now.Add(min(leaveAlone<<min(b.fails, 10), leaveAloneMax))
		b.fails++
	}
	return fails, true
}

// heard takes in the outcome of a call that was counted by b.
func (g *guard) heard(b *breaker, err error) {
	known := err == nil || errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrExist) || errors.Is(err, errDamaged) || errors.Is(err, errOtherKey) ||
		errors.Is(err, errReplaced)
	fails, news := b.heard(time.Now(), !known)
	switch {
	case known && fails > 0 && b == &g.reads:
		g.log.Info("the share answers again", "op", "share")
	case known && fails > 0:
		g.log.Info("the share takes archives again", "op", "share")
	case known, fails > 0, !news:
	case b == &g.reads:
		g.log.Warn("the share cannot be used now; reading from the content server", "op", "share", "err", err)
	case !g.down():
		g.log.Warn("nothing can be put into the share now; what is in it is still read", "op", "share", "err", err)
	}
}

// ask calls f and waits for it no longer than within. f may go on after that: it must
// not touch what the caller uses again. b counts the outcome.
func ask[T any](ctx context.Context, g *guard, b *breaker, within time.Duration, f func(context.Context) (T, error)) (T, error) {
	var none T
	if b.open(time.Now()) {
		return none, errDown
	}
	select {
	case g.slots <- struct{}{}:
	default:
		return none, errDown
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result)
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	go func() {
		defer func() { <-g.slots }()
		v, err := f(ctx)
		select {
		case done <- result{v, err}:
		case <-ctx.Done():
			if c, ok := any(v).(io.Closer); ok && err == nil {
				c.Close()
			}
		}
	}()
	select {
	case r := <-done:
		if caller.Err() != nil && r.err != nil {
			return none, caller.Err() // says nothing about the store
		}
		if errors.Is(r.err, context.DeadlineExceeded) {
			r.err = fmt.Errorf("%w: %w", errSlow, r.err)
		}
		g.heard(b, r.err)
		return r.v, r.err
	case <-ctx.Done():
		if caller.Err() != nil {
			return none, caller.Err()
		}
		g.heard(b, errSlow)
		return none, errSlow
	}
}

func (g *guard) create(ctx context.Context, key string, body []byte) error {
	within := answerWithin
	if len(body) > blockSize {
		within = writtenWithin
	}
	_, err := ask(ctx, g, &g.writes, within, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, g.store.Create(ctx, key, body)
	})
	return err
}

func (g *guard) list(ctx context.Context, prefix string) ([]Object, error) {
	return ask(ctx, g, &g.reads, listedWithin, func(ctx context.Context) ([]Object, error) { return g.store.List(ctx, prefix) })
}

func (g *guard) remove(ctx context.Context, key string) error {
	_, err := ask(ctx, g, &g.writes, answerWithin, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, g.store.Delete(ctx, key)
	})
	return err
}

// read returns a small object, of at most limit bytes. A larger one is errDamaged.
func (g *guard) read(ctx context.Context, key string, limit int64) ([]byte, error) {
	return g.readWithin(ctx, key, limit, answerWithin)
}

func (g *guard) readWithin(ctx context.Context, key string, limit int64, within time.Duration) ([]byte, error) {
	return ask(ctx, g, &g.reads, within, func(ctx context.Context) ([]byte, error) {
		rc, err := g.store.Open(ctx, key, 0, limit+1)
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		p, err := io.ReadAll(io.LimitReader(rc, limit+1))
		if err == nil && int64(len(p)) > limit {
			err = fmt.Errorf("%s has more than %d bytes: %w", key, limit, errDamaged)
		}
		return p, err
	})
}

// open opens bytes [off, off+n) of an object.
func (g *guard) open(ctx context.Context, key string, off, n int64) (*body, error) {
	ctx, cancel := context.WithCancel(ctx)
	rc, err := ask(ctx, g, &g.reads, answerWithin, func(context.Context) (io.ReadCloser, error) {
		return g.store.Open(ctx, key, off, n)
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return &body{g, rc, cancel}, nil
}

// body is an object that is being read, by one goroutine.
type body struct {
	g      *guard
	rc     io.ReadCloser
	cancel context.CancelFunc
}

// full fills p. If it fails, p may still be written to. An object that ends too early
// is errDamaged.
func (b *body) full(ctx context.Context, p []byte) error {
	_, err := ask(ctx, b.g, &b.g.reads, answerWithin, func(context.Context) (struct{}, error) {
		_, err := io.ReadFull(b.rc, p)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("it is too short: %w", errDamaged)
		}
		return struct{}{}, err
	})
	return err
}

func (b *body) close() {
	b.cancel()
	go b.rc.Close() // a file of a dead server may hang even here
}
