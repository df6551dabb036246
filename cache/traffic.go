package cache

import "sync/atomic"

// Traffic counts what a cache has done since it was opened.
type Traffic struct {
	// Hits are the blocks, or pieces of one, that readers got from memory or disk.
	// Misses are those that they had to wait for. Reads that the kernel makes of the
	// file itself are in neither.
	Hits, Misses int64
	// Evictions are the archives that were removed to make room.
	Evictions int64
	// Waiting are the readers that wait for the source now.
	Waiting int64
}

// traffic is what Traffic is made from.
type traffic struct{ hits, misses, evictions atomic.Int64 }

// answered counts the blocks that a reader got.
func (t *traffic) answered(blocks int, waited bool) {
	if waited {
		t.misses.Add(int64(blocks))
	} else {
		t.hits.Add(int64(blocks))
	}
}

// Traffic returns the counts now.
func (c *Cache) Traffic() Traffic {
	return Traffic{
		Hits: c.traffic.hits.Load(), Misses: c.traffic.misses.Load(),
		Evictions: c.traffic.evictions.Load(), Waiting: c.waiting.Load(),
	}
}
