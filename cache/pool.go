package cache

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// poolBlocks is how many block buffers there are at most, for all readers of
	// all archives together: the cache's memory.
	poolBlocks = 24
	// poolSpare is how many unused buffers are kept ready.
	poolSpare = 8
	// poolLook is how often one who waits for a buffer looks for one.
	poolLook = 50 * time.Millisecond
)

// pool lends block buffers. Buffers that hold the only copy of a block (one that
// is not on disk) stay lent; they are taken back from there, oldest first, when
// somebody needs a buffer.
type pool struct {
	mu    sync.Mutex
	spare [][]byte
	lent  int
	queue list.List // of chan []byte: who waits for a buffer, in order

	// Entries whose buffer may be taken back: those a reader has passed already,
	// and those nobody has read yet.
	passed list.List // of *entry
	fresh  list.List // of *entry
}

// try returns a buffer, or nil when all are lent. It may take back a block that
// a reader has passed, but none that a reader may still want.
func (p *pool) try() []byte { return p.take(false) }

// get returns a buffer, waiting for one if need be. It takes back any block that
// nobody is waiting for.
func (p *pool) get(ctx context.Context) ([]byte, error) {
	if buf := p.take(true); buf != nil {
		return buf, nil
	}
	p.mu.Lock()
	ch := make(chan []byte, 1)
	el := p.queue.PushBack(ch)
	p.mu.Unlock()
	// A block becomes takeable by events, after which serve is called, but also by
	// the time that its reader lets pass.
	look := time.NewTicker(poolLook)
	defer look.Stop()
	for ctx.Err() == nil {
		p.serve()
		select {
		case buf := <-ch:
			return buf, nil
		case <-look.C:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	p.queue.Remove(el)
	p.mu.Unlock()
	select {
	case buf := <-ch: // it arrived meanwhile
		p.put(buf)
	default:
	}
	return nil, ctx.Err()
}

// take returns a free buffer or takes one back, nil if neither is possible.
func (p *pool) take(fresh bool) []byte {
	p.mu.Lock()
	if p.queue.Len() > 0 {
		p.mu.Unlock()
		return nil // whoever waits comes first
	}
	if n := len(p.spare); n > 0 {
		buf := p.spare[n-1]
		p.spare = p.spare[:n-1]
		p.lent++
		p.mu.Unlock()
		return buf
	}
	if p.lent < poolBlocks {
		p.lent++
		p.mu.Unlock()
		return allocBlock()
	}
	p.mu.Unlock()
	return p.takeBack(fresh)
}

// takeBack frees the buffer of the oldest entry that nobody needs.
func (p *pool) takeBack(fresh bool) []byte {
	// Bounded, because forget puts an entry that is in use back on its list.
	for range 2 * poolBlocks {
		p.mu.Lock()
		el, from := p.passed.Front(), &p.passed
		if el == nil && fresh {
			el, from = p.fresh.Front(), &p.fresh
		}
		if el == nil {
			p.mu.Unlock()
			return nil
		}
		e := from.Remove(el).(*entry)
		e.el, e.in = nil, nil
		p.mu.Unlock()
		// Not under p.mu: the archive's lock comes before the pool's.
		if buf := e.a.forget(e); buf != nil {
			return buf
		}
	}
	return nil
}

// put takes a lent buffer back.
func (p *pool) put(buf []byte) {
	p.mu.Lock()
	if el := p.queue.Front(); el != nil {
		p.queue.Remove(el).(chan []byte) <- buf
		p.mu.Unlock()
		return
	}
	p.lent--
	if len(p.spare) < poolSpare {
		p.spare = append(p.spare, buf)
		buf = nil
	}
	p.mu.Unlock()
	if buf != nil {
		freeBlock(buf)
	}
}

// keep makes e's buffer available to others; a.mu is held.
func (p *pool) keep(e *entry, passed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(e)
	e.in = &p.fresh
	if passed {
		e.in = &p.passed
	}
	e.el = e.in.PushBack(e)
}

// unkeep is the opposite of keep; a.mu is held.
func (p *pool) unkeep(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(e)
}

func (p *pool) unlist(e *entry) {
	if e.el != nil {
		e.in.Remove(e.el)
		e.el, e.in = nil, nil
	}
}

// serve hands takeable blocks to those who wait for a buffer. It is called, with
// no lock held, when a kept entry has become free to take.
func (p *pool) serve() {
	for {
		p.mu.Lock()
		waiting := p.queue.Len() > 0
		p.mu.Unlock()
		if !waiting {
			return
		}
		buf := p.takeBack(true)
		if buf == nil {
			return
		}
		p.put(buf)
	}
}

// drain frees all buffers that are not lent.
func (p *pool) drain() {
	p.mu.Lock()
	spare := p.spare
	p.spare = nil
	p.mu.Unlock()
	for _, buf := range spare {
		freeBlock(buf)
	}
}
