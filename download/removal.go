package download

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
)

// removal is what the server still has to do for a download that was cancelled or
// removed here. It is a task that goes one step further each time it runs, until the
// server has done everything or no longer knows the download. The journal keeps it
// until then, unless it takes back a Create that could not be journaled.
type removal struct {
	id     ID
	serial uint64 // 0: not in the journal
	task   schedule.Task

	// Manager.mu guards all below.

	cancel   bool      // it may be running
	del      bool      // delete the node; set when the entry goes
	of       *Download // the deletion waits for its open handles; may be nil
	parked   bool      // waiting for those handles
	cancelAt time.Time // when the server accepted the cancelling; zero once it ended
	fails    int       // in a row
	refused  time.Time // the first of the latest 403s in a row
	absent   doubt     // that there is no such download
	until    time.Time // it is not believed before; zero: believed once confirmed

	done chan struct{} // closed when the server has nothing left to do; may be nil
}

const (
	// cancelGrace is how long a cancelled zip may take to stop before its node is
	// deleted all the same.
	cancelGrace    = 30 * time.Second
	cancelSoonest  = time.Second     // before the first question whether the zip has ended
	cancelSlowest  = 5 * time.Second // between the later ones, at most
	removalSlowest = 5 * time.Minute
	// A 403 may come from a proxy that has a bad minute, or it may be for good.
	refusedSlowest = time.Hour
	refusedLongest = 24 * time.Hour
)

func (m *Manager) newRemoval(id ID, serial uint64, cancel, del bool) *removal {
	r := &removal{id: id, serial: serial, cancel: cancel, del: del}
	r.task.Run = func() { m.advance(r) }
	return r
}

// advance does a removal's next step.
func (m *Manager) advance(r *removal) {
	var step func(context.Context) (ended bool, err error)
	m.locked(func() { step = m.step(r) })
	if step == nil {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, m.requestTimeout())
	defer cancel()
	ended := false
	err := m.call("remove", r.id, func() (err error) {
		ended, err = step(ctx)
		return err
	})
	if del, done := m.advanced(r, ended, err, began); done {
		m.finish(r, del)
	}
}

// advanced takes in the outcome of a step. It reports whether it was the last, and
// whether r was to delete the node by then.
func (m *Manager) advanced(r *removal, ended bool, err error, began time.Time) (del, done bool) {
	m.mu.Lock()
	defer m.unlock()
	if m.closing {
		return r.del, false
	}
	now := time.Now()
	if m.server.heard(err, began, now) {
		m.announceAll()
	}
	m.work.SetHold(m.server.holdUntil(now, len(m.waited) > 0))
	switch {
	case isAny(err, ErrNotFound, ErrInvalid) && !r.absent.confirmed(now, r.until):
		m.logLater(slog.LevelDebug, "removal failed; trying again", "op", "remove", "download", r.id, "err", err)
		m.work.Set(&r.task, now.Add(r.absent.pause(now, r.until)), schedule.Chore)
	case errors.Is(err, ErrNotFound):
		done = true
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrForbidden) && r.refusedFor(now) >= refusedLongest:
		m.logLater(slog.LevelWarn, "the server refuses to remove a download; given up", "op", "remove", "download", r.id, "err", err)
		done = true
	case err != nil:
		r.fails++
		slowest := removalSlowest
		if errors.Is(err, ErrForbidden) {
			slowest = refusedSlowest
		} else {
			r.refused = time.Time{}
		}
		m.logLater(slog.LevelDebug, "removal failed; trying again", "op", "remove", "download", r.id, "err", err)
		m.work.Set(&r.task, now.Add(jitter(min(time.Second<<min(r.fails-1, 12), slowest))), schedule.Chore)
	default:
		r.fails, r.refused = 0, time.Time{}
		r.absent.end()
		done = m.stepped(r, ended, now)
	}
	return r.del, done
}

// refusedFor returns for how long the server has said 403 and nothing else, counted
// from this mount on. m.mu is held.
func (r *removal) refusedFor(now time.Time) time.Duration {
	if r.refused.IsZero() {
		r.refused = now
	}
	return now.Sub(r.refused)
}

// step returns the next request of r, or nil when r has to wait. The request reports
// whether the download has ended on the server. m.mu is held.
func (m *Manager) step(r *removal) func(context.Context) (ended bool, err error) {
	if time.Since(r.cancelAt) >= cancelGrace {
		r.cancelAt = time.Time{}
	}
	switch {
	case m.closing:
		return nil
	case r.cancel:
		return func(ctx context.Context) (bool, error) { return false, m.service.Cancel(ctx, r.id) }
	case !r.cancelAt.IsZero():
		return func(ctx context.Context) (bool, error) {
			p, err := m.service.Get(ctx, r.id)
			return err == nil && p.Status.Ended(), err
		}
	case r.of != nil && r.of.handles > 0:
		r.parked = true
		return nil
	}
	return func(ctx context.Context) (bool, error) { return true, m.service.Delete(ctx, r.id) }
}

// stepped takes in a step that succeeded and reports whether it was the last.
// m.mu is held.
func (m *Manager) stepped(r *removal, ended bool, now time.Time) bool {
	next := now
	switch {
	case r.cancel:
		r.cancel = false
		if d := m.byID[r.id]; d != nil && !r.del {
			m.work.Set(&d.watch.task, now.Add(schedule.Soonest), schedule.Routine) // for the final counters
		}
		if !r.del {
			return true
		}
		r.cancelAt = now
		next = now.Add(cancelSoonest)
	case ended && !r.cancelAt.IsZero():
		r.cancelAt = time.Time{}
	case !r.cancelAt.IsZero():
		waited := now.Sub(r.cancelAt)
		next = now.Add(min(max(waited, cancelSoonest), cancelSlowest))
		if last := r.cancelAt.Add(cancelGrace); next.After(last) {
			next = last
		}
	default:
		return true
	}
	m.work.Set(&r.task, next, schedule.Chore)
	return false
}

// finish forgets r, whose last step was done with this del. If the entry was removed in
// the meantime, there is more to do.
func (m *Manager) finish(r *removal, del bool) {
	more := func() bool { // m.mu is held
		return r.del != del || r.of != nil && r.of.removed && !del
	}
	m.locked(func() {
		if !more() {
			r.tell() // what is left is the journal's
		}
	})
	if r.serial != 0 {
		err := m.journal.Update(func(tx journal.Tx) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if more() {
				return nil
			}
			return tx.Delete(journal.Removals, r.serial)
		})
		if err != nil {
			// It runs once more after the next Open, which does no harm.
			m.log.Warn("removal stays in the journal", "op", "remove", "download", r.id, "err", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !more() {
		delete(m.removals, r.id)
		r.tell()
	} else if r.del {
		m.work.Set(&r.task, time.Now(), schedule.Chore)
	} // else Remove is about to go on with it
}

// tell ends the waits for r. m.mu is held.
func (r *removal) tell() {
	if r.done != nil {
		close(r.done)
		r.done = nil
	}
}

// unpark lets the deletion of d go on after its last handle was closed. m.mu is held.
func (m *Manager) unpark(d *Download) {
	if r := m.removals[d.id]; r != nil && r.of == d && r.parked && d.handles == 0 {
		r.parked = false
		m.work.Set(&r.task, time.Now(), schedule.Chore)
	}
}
