package cache

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// poolBlocks is the maximum number of block buffers, for all readers of all
	// archives together. It bounds the cache's memory.
	poolBlocks = 24
	// poolEager is how many buffers there may be before the pool takes back a block
	// that has been read.
	poolEager = 12
	// poolSpare is how many unused buffers are kept ready.
	poolSpare = 4
	// poolLook is how often a goroutine that waits for a buffer looks for one.
	poolLook = 50 * time.Millisecond
)

// pool lends block buffers. A buffer that holds a block for its readers, or its only
// copy, stays lent. When somebody needs a buffer, the pool takes such buffers back,
// oldest first.
type pool struct {
	mu    sync.Mutex
	spare [][]byte
	lent  int
	queue list.List // of chan []byte: the goroutines that wait for a buffer, in order

	// Entries whose buffer may be taken back. A reader has passed those in passed.
	// Those in saved are on disk, but nobody has read them yet. The others are in
	// fresh.
	passed list.List // of *memBlock
	saved  list.List // of *memBlock
	fresh  list.List // of *memBlock
}

// try returns a buffer, or nil when all are lent. It may take back a block that no
// reader will want soon, but never the only copy of a block that nobody has read yet.
func (p *pool) try() []byte { return p.take(false) }

// get returns a buffer, and blocks until there is one or ctx ends. It takes back any
// block that nobody is waiting for.
func (p *pool) get(ctx context.Context) ([]byte, error) {
	if buf := p.take(true); buf != nil {
		return buf, nil
	}
	p.mu.Lock()
	ch := make(chan []byte, 1)
	el := p.queue.PushBack(ch)
	p.mu.Unlock()
	// An event can make a block takeable, and serve is called after each. So can time
	// in which the reader does nothing, so look again now and then.
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

// take returns a free buffer or takes one back. It returns nil if neither is
// possible.
func (p *pool) take(fresh bool) []byte {
	p.mu.Lock()
	if p.queue.Len() > 0 {
		p.mu.Unlock()
		return nil // those that wait come first
	}
	if n := len(p.spare); n > 0 {
		buf := p.spare[n-1]
		p.spare = p.spare[:n-1]
		p.lent++
		p.mu.Unlock()
		return buf
	}
	if p.lent < poolEager {
		p.lent++
		p.mu.Unlock()
		return allocBlock()
	}
	p.mu.Unlock()
	if buf := p.takeBack(&p.passed, false); buf != nil {
		return buf
	}
	p.mu.Lock()
	if p.lent < poolBlocks {
		p.lent++
		p.mu.Unlock()
		return allocBlock()
	}
	p.mu.Unlock()
	return p.takeBackAny(fresh)
}

// takeBackAny frees the buffer of the block that is missed least. If urgent is set,
// that may be a block that a reader will want soon.
func (p *pool) takeBackAny(urgent bool) []byte {
	lists := []*list.List{&p.passed, &p.saved}
	if urgent {
		lists = append(lists, &p.fresh)
	}
	for _, l := range lists {
		if buf := p.takeBack(l, urgent); buf != nil {
			return buf
		}
	}
	return nil
}

// takeBack frees the buffer of the oldest block in a list that nobody needs.
func (p *pool) takeBack(from *list.List, urgent bool) []byte {
	// Bounded, because forget puts a block that is in use back on its list.
	for range poolBlocks {
		p.mu.Lock()
		el := from.Front()
		if el == nil {
			p.mu.Unlock()
			return nil
		}
		e := from.Remove(el).(*memBlock)
		e.el, e.in = nil, nil
		p.mu.Unlock()
		// Not under p.mu: the archive's lock comes before the pool's.
		if buf := e.a.forget(e, urgent); buf != nil {
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
func (p *pool) keep(e *memBlock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(e)
	switch {
	case e.passed:
		e.in = &p.passed
	case e.saved:
		e.in = &p.saved
	default:
		e.in = &p.fresh
	}
	e.el = e.in.PushBack(e)
}

// unkeep is the opposite of keep; a.mu is held.
func (p *pool) unkeep(e *memBlock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(e)
}

func (p *pool) unlist(e *memBlock) {
	if e.el != nil {
		e.in.Remove(e.el)
		e.el, e.in = nil, nil
	}
}

// serve hands takeable blocks to the goroutines that wait for a buffer. Call it
// without a lock when a kept block has become free to take.
func (p *pool) serve() {
	for {
		p.mu.Lock()
		waiting := p.queue.Len() > 0
		p.mu.Unlock()
		if !waiting {
			return
		}
		buf := p.takeBackAny(true)
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
