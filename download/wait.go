package download

import (
	"context"
	"time"
)

// freshWithin is how long a new waiter waits for a fresh answer about a download in
// trouble before it is told of the known trouble.
const freshWithin = 5 * time.Second

// Wait blocks until the archive can be opened, and then returns nil, or until it
// cannot: ErrCancelled, ErrTooLarge, ErrExpired, ErrStalled, ErrUnauthorized,
// ErrForbidden, ErrUnavailable, ErrProtocol, ErrClosed, or ctx.Err(). A download with
// waiters is polled more often.
//
// If a download is stalled or cannot be reached, or the server refused the login, the
// server is asked once more before a new waiter is told so.
func (d *Download) Wait(ctx context.Context) error {
	m := d.m
	var ready bool
	var fresh uint64
	came := time.Now()
	m.locked(func() {
		if ready, _ = d.verdict(came); !ready {
			fresh = d.arrive()
		}
	})
	if ready {
		return nil
	}
	defer m.locked(d.leave)

	late := time.NewTimer(freshWithin)
	defer late.Stop()
	for {
		var err error
		var changed <-chan struct{}
		m.locked(func() {
			ready, err = d.verdict(time.Now())
			if err != nil && d.mayRecover() && fresh > d.watch.ended && !m.server.refusedSince(came) {
				err = nil // ask once more first
			}
			changed = d.watchChange()
		})
		switch {
		case ready || d.rescued(err):
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-m.closed:
		case <-late.C:
			fresh = 0
		}
	}
}

// arrive counts a waiter in and returns the number of the first poll that is fresh for
// it. Manager.mu is held.
func (d *Download) arrive() (fresh uint64) {
	d.waiters++
	d.m.waited[d] = struct{}{}
	fresh = d.watch.begun + 1
	if (d.elsewhere != Progress{}) {
		d.m.assemble(d, d.elsewhere)
	}
	d.m.bringForward(d)
	return fresh
}

func (d *Download) leave() {
	if d.waiters--; d.waiters == 0 {
		delete(d.m.waited, d)
	}
}

// watchChange returns a channel that is closed at the next change. Manager.mu
// is held.
func (d *Download) watchChange() <-chan struct{} {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

// announce wakes all who watch d. Manager.mu is held.
func (d *Download) announce() {
	d.m.change(d)
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}
