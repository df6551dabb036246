package share

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// clockFor is how long the difference between two clocks is believed.
	clockFor = 5 * time.Minute
	// clockJump is how far the two clocks of this machine may go apart meanwhile.
	clockJump = time.Second
)

// clock tells the store's time. Every object's time is of that clock, and the clocks of
// the machines may be hours apart. It learns the time from an object that it has just
// written, and counts on from there with the machine's clock that nobody can set. That
// one stands still while the machine sleeps. So it learns the time anew when it has gone
// apart from the one that people read.
type clock struct {
	store *guard
	key   string
	wrong atomic.Bool   // the store is another one
	lock  chan struct{} // a mutex that a context can end the wait for; guards all below

	told, at time.Time // what the store's clock told, and when by ours
	wall     time.Time // the same moment by the clock that people read
}

func newClock(store *guard, key string) *clock {
	return &clock{store: store, key: key, lock: make(chan struct{}, 1)}
}

// now returns the store's time, or a little less, so that nothing seems older than it
// is.
func (c *clock) now(ctx context.Context) (time.Time, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	if c.wrong.Swap(false) {
		c.at = time.Time{}
	}
	now := time.Now()
	passed := now.Sub(c.at)
	jump := (now.Round(0).Sub(c.wall) - passed).Abs()
	if c.at.IsZero() || passed > clockFor || jump > clockJump {
		if err := c.learn(ctx); err != nil {
			return time.Time{}, err
		}
	}
	return c.told.Add(time.Since(c.at)), nil
}

func (c *clock) learn(ctx context.Context) error {
	// A mount that was killed may have left one.
	if err := c.store.remove(ctx, c.key+"now"); err != nil {
		return err
	}
	if err := c.store.create(ctx, c.key+"now", []byte("now\n")); err != nil {
		return err
	}
	local := time.Now() // after it was written, so that now is never too late
	defer c.store.remove(context.WithoutCancel(ctx), c.key+"now")
	objects, err := c.store.list(ctx, c.key)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return errors.New("the store does not show what was just written")
	}
	c.told, c.at, c.wall = objects[0].ModTime, local, local.Round(0)
	return nil
}
