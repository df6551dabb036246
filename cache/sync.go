package cache

import (
	"context"
	"errors"
	"fmt"

	"downloadfs/download"
)

// errNoIndex means that the index is gone: a later run remembers nothing that is fetched.
var errNoIndex = errors.New("the cache has no index")

// Sync implements [download.Archives].
func (c *Cache) Sync(ctx context.Context, id download.ID) error {
	a := c.lookup(id)
	if a == nil || a.state == nil {
		return fmt.Errorf("sync %s: it is not in the cache: %w", id, download.ErrNotFound)
	}
	c.note(a, 0) // the goroutine that wrote a block may not have noted it yet
	flushed := make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return fmt.Errorf("sync %s: %w", id, download.ErrClosed)
	}
	c.keeper.mu.Lock()
	c.keeper.syncs = append(c.keeper.syncs, flushed)
	c.keeper.mu.Unlock()
	c.mu.Unlock()
	c.kick()
	select {
	case err := <-flushed:
		if err != nil {
			return fmt.Errorf("sync %s: %w", id, err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if a.dropped.Load() {
		return fmt.Errorf("sync %s: it was dropped: %w", id, download.ErrNotFound)
	}
	return nil
}
