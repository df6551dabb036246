package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"downloadfs/download"
)

const (
	// prefetchers is how many archives are fetched in the background at a time.
	prefetchers = 2
	// prefetchBackoff is the wait after a first failure. It doubles up to
	// prefetchBackoffMax. Any progress resets it.
	prefetchBackoff    = time.Second
	prefetchBackoffMax = time.Minute
)

// prefetcher holds the archives that are to be fetched whole. c.mu guards it.
type prefetcher struct {
	queue   []*prefetch
	running []*prefetch
	workers int
}

// prefetch is one archive to be fetched whole.
type prefetch struct {
	info   download.ArchiveInfo
	ctx    context.Context
	cancel context.CancelFunc
	fails  int
	after  time.Time // not started before this time
}

// Prefetch implements [download.Archives]. It skips an archive that cannot fit.
// Background fetches give way to readers: while a reader waits for the network, they
// stand still, unless they bring the block that it waits for.
func (c *Cache) Prefetch(info download.ArchiveInfo) {
	if _, err := download.ParseID(string(info.ID)); err != nil || info.Size <= 0 || c.disk == nil || !c.fits(info.Size) {
		c.log.Debug("not fetched in the background", "op", "prefetch", "download", info.ID, "len", info.Size)
		return
	}
	if a := c.lookup(info.ID); a != nil && a.same(info) && a.complete() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.prefetch
	is := func(f *prefetch) bool { return f.info.ID == info.ID && f.ctx.Err() == nil }
	if c.closed || slices.ContainsFunc(p.queue, is) || slices.ContainsFunc(p.running, is) {
		return
	}
	f := &prefetch{info: info}
	f.ctx, f.cancel = context.WithCancel(c.ctx)
	p.queue = append(p.queue, f)
	if p.workers < prefetchers {
		p.workers++
		c.wg.Go(c.prefetchWorker)
	}
}

// stopPrefetch ends the background fetch of an archive.
func (c *Cache) stopPrefetch(id download.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range slices.Concat(c.prefetch.queue, c.prefetch.running) {
		if f.info.ID == id {
			f.cancel()
		}
	}
}

// prefetchWorker fetches what is queued until nothing is left.
func (c *Cache) prefetchWorker() {
	for {
		f, wait := c.nextPrefetch()
		if f == nil {
			return
		}
		if wait > 0 && !f.sleep(wait) {
			c.endPrefetch(f, nil)
			continue
		}
		before := c.Cached(f.info.ID)
		err := c.fetchWhole(f)
		if c.Cached(f.info.ID) > before {
			f.fails = 0
		}
		c.endPrefetch(f, err)
	}
}

// sleep waits for d and reports whether the fetch is still wanted.
func (f *prefetch) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// nextPrefetch takes the fetch that is due first off the queue, and returns how long
// it has to wait. If the queue is empty, it signs the worker off and returns nil.
func (c *Cache) nextPrefetch() (*prefetch, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.prefetch
	if len(p.queue) == 0 {
		p.workers--
		return nil, 0
	}
	first := 0
	now := time.Now()
	for i, f := range p.queue {
		if !f.after.After(now) || f.ctx.Err() != nil {
			first = i
			break
		}
		if f.after.Before(p.queue[first].after) {
			first = i
		}
	}
	f := p.queue[first]
	p.queue = slices.Delete(p.queue, first, first+1)
	p.running = append(p.running, f)
	return f, f.after.Sub(now)
}

// endPrefetch records the result of a fetch, and queues it again if that makes sense.
func (c *Cache) endPrefetch(f *prefetch, err error) {
	again := err != nil && f.ctx.Err() == nil && !hopeless(err)
	log := c.log.With("op", "prefetch", "download", f.info.ID)
	switch {
	case f.ctx.Err() != nil:
		log.Debug("background fetch ended", "state", "stopped")
	case err == nil:
		log.Info("archive is in the cache", "state", "complete", "len", f.info.Size)
	case again:
		log.Debug("background fetch interrupted", "state", "waiting", "err", err)
	default:
		log.Info("background fetch given up", "state", "incomplete", "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.prefetch
	p.running = slices.DeleteFunc(p.running, func(g *prefetch) bool { return g == f })
	if !again {
		f.cancel()
		return
	}
	f.after = time.Now().Add(min(prefetchBackoff<<min(f.fails, 10), prefetchBackoffMax))
	f.fails++
	p.queue = append(p.queue, f)
}

// errNoRoom means that the rest of an archive does not fit.
var errNoRoom = errors.New("no room in the cache")

// hopeless reports whether trying again later cannot help.
func hopeless(err error) bool {
	for _, h := range []error{errNoRoom, download.ErrExpired, download.ErrChanged, download.ErrForbidden, download.ErrInvalid, download.ErrClosed} {
		if errors.Is(err, h) {
			return true
		}
	}
	return false
}

// fetchWhole fetches the missing blocks of an archive, one stream at a time.
func (c *Cache) fetchWhole(f *prefetch) error {
	a, err := c.get(f.info, false)
	if err != nil {
		return err
	}
	defer c.release(a)
	a.mu.Lock()
	a.noRoom = false
	a.mu.Unlock()
	for f.ctx.Err() == nil {
		a.mu.Lock()
		s := a.backgroundStream(f.ctx)
		noRoom := a.noRoom
		a.mu.Unlock()
		switch {
		case a.dropped.Load():
			return nil
		case a.complete():
			return nil
		case noRoom:
			return errNoRoom
		case s == nil:
			// Readers' streams are bringing the rest.
			f.sleep(yieldFor / 4)
			continue
		}
		s.run()
		if s.err != nil {
			return fmt.Errorf("fetch %s: %w", a.info.ID, s.err)
		}
	}
	return f.ctx.Err()
}

// backgroundStream makes a stream for the first gap that no stream is filling. It
// returns nil if there is no gap or no room. a.mu is held.
func (a *archive) backgroundStream(ctx context.Context) *stream {
	if a.noRoom || a.dropped.Load() {
		return nil
	}
	for b := range a.n {
		if a.missing(b) && !a.claimed(b) {
			s := a.newStream(ctx, b, a.stop(b))
			s.background.Store(true)
			return s
		}
	}
	return nil
}
