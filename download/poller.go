package download

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"downloadfs/download/schedule"
)

// One poller serves all waiters of all downloads: each download that is not settled is
// a task of the manager's scheduler.

const (
	recheckEvery = 10 * time.Minute       // for a DONE download, which may expire
	freshSpacing = 250 * time.Millisecond // between polls for waiters who come during trouble
	lookedFor    = 5 * time.Second        // after a Look
	maxRequest   = time.Minute
)

// watch is the poller's view of one download. Manager.mu guards it.
type watch struct {
	task     schedule.Task
	forecast schedule.Forecast
	begun    uint64 // polls
	ended    uint64
	wanted   uint64 // the poll that the latest waiter waits for

	seen    bool  // the server has told of the download
	absent  doubt // that there is no such download
	refused doubt // that this user may not see it, or that it is no download
	earlier doubt // a state or counters that it had already passed

	fails        int // in a row
	failingSince time.Time
	lastErr      error
	fault        error // why polling is useless for now; polled again slowly

	quietSince time.Duration // of the last progress, on the clock serverState.alive
	failedAt   time.Duration // of the first of fails, on that clock
	stalled    bool

	asked  time.Time // the end of the latest poll
	looked time.Time // the latest Look

	pending  time.Time // when it was last seen PENDING in this mount
	measured bool      // whether it was searched for a file that no zip can hold
}

func (w *watch) failing(now time.Time, timeout time.Duration) bool {
	return w.fails > 0 && now.Sub(w.failingSince) >= timeout
}

// failure returns what waiters get after polls have failed for too long.
func (w *watch) failure() error {
	since := stamp(w.failingSince)
	switch {
	case errors.Is(w.lastErr, ErrNotReady):
		return Because(ErrProtocol, "the server says that this download is DONE, and has had no archive of it since %s", since)
	case errors.Is(w.lastErr, ErrProtocol):
		return Because(ErrProtocol, "%s", withReason("the server has not given a valid answer about this download since "+since, w.lastErr))
	}
	return Because(ErrUnavailable, "%s", withReason("the server has not answered about this download since "+since, w.lastErr))
}

// troubled reports whether the download is polled slowly.
func (w *watch) troubled() bool { return w.fault != nil || w.stalled || w.fails > 0 }

// poll is the task of a download.
func (m *Manager) poll(d *Download) {
	m.mu.Lock()
	if d.removed || m.closing || d.parts != nil {
		m.mu.Unlock()
		return
	}
	d.watch.begun++
	describe := d.archive == nil && !d.cancelled
	m.mu.Unlock()

	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, m.requestTimeout())
	defer cancel()
	answer, err := m.ask(ctx, d.id, describe)

	var fetch *ArchiveInfo
	m.locked(func() {
		d.watch.ended++
		d.watch.asked = time.Now()
		if !d.removed && !m.closing && d.parts == nil {
			m.learn(d, answer, err, began)
			m.schedule(d)
		}
		fetch = m.wantsFetch(d)
	})
	if fetch != nil && err == nil {
		m.prefetch(d, *fetch)
	}
}

func (m *Manager) requestTimeout() time.Duration {
	return min(maxRequest, max(m.unreachableTimeout/2, time.Second))
}

// answer is what one poll learned.
type answer struct {
	progress Progress
	archive  *ArchiveInfo
}

// ask makes one poll's requests. It also asks for the archive of a DONE download, since
// DONE is only announced with the size of the archive. No zip is empty, and the server
// has just told of this node: a node of a cluster that says otherwise is behind.
func (m *Manager) ask(ctx context.Context, id ID, describe bool) (answer, error) {
	var a answer
	err := m.call("poll", id, func() (err error) {
		a.progress, err = m.service.Get(ctx, id)
		return err
	})
	if err == nil {
		err = checkAnswer(a.progress, id)
	}
	if err == nil && describe && a.progress.Status == StatusDone {
		err = m.call("describe", id, func() error {
			info, err := m.service.Archive(ctx, id)
			switch {
			case err == nil && (info.ID != id || info.Size < 0):
				err = impossible("archive %.64q of %d bytes", string(info.ID), info.Size)
			case err == nil && info.Size == 0, errors.Is(err, ErrNotFound):
				err = Because(ErrNotReady, "the archive of %s is not there yet", id)
			}
			info.Name = safeFileName(info.Name)
			a.archive = &info
			return err
		})
	}
	return a, err
}

// checkAnswer is checkProgress for an answer from the server, which does not know
// EXPIRED.
func checkAnswer(p Progress, id ID) error {
	if p.Status == StatusExpired {
		return impossible("status %s", p.Status)
	}
	return checkProgress(p, id)
}

// learn takes in the outcome of a poll. Manager.mu is held.
func (m *Manager) learn(d *Download, a answer, err error, began time.Time) {
	now := time.Now()
	w := &d.watch
	if m.server.heard(err, began, now) {
		m.announceAll()
	}
	m.work.SetHold(m.server.holdUntil(now, len(m.waited) > 0))
	if err == nil {
		if w.troubled() {
			d.announce() // some waiters wait for a fresh answer
		}
		if w.fails > 0 {
			w.quietSince += m.server.alive - w.failedAt // no answer is no stall
		}
		w.fault, w.fails, w.lastErr = nil, 0, nil
		w.seen = true
		w.absent.end()
		w.refused.end()
		m.takeOver(d, a, now)
		return
	}
	w.lastErr = err
	switch {
	case errors.Is(err, ErrNotFound):
		if !w.absent.confirmed(now, d.unseenUntil()) {
			m.logLater(w.absent.level(), "the server does not know a download; trying again", "op", "poll", "download", d.id)
			return
		}
		m.gone(d)
		return
	case errors.Is(err, ErrUnauthorized): // the server's state says so
	case isAny(err, ErrForbidden, ErrInvalid) && w.fault == nil && !w.refused.confirmed(now, time.Time{}):
		m.logLater(w.refused.level(), "the server refuses to show a download; trying again", "op", "poll", "download", d.id, "err", err)
		return
	case errors.Is(err, ErrForbidden):
		w.fault = Because(ErrForbidden, "the server refuses to show this user the download")
	case errors.Is(err, ErrInvalid):
		w.fault = Because(ErrProtocol, "%s", withReason("the server says that this is not a download", err))
	case errors.Is(err, ErrInternal):
		w.fault = Because(ErrInternal, "%s", withReason(ErrInternal.Error(), err))
	default:
		if w.fails == 0 {
			w.failingSince, w.failedAt = began, m.server.alive
		}
		w.fails++
	}
	m.logLater(slog.LevelDebug, "poll failed", "op", "poll", "download", d.id, "err", err)
	d.announce()
}

// takeOver takes in the server's answer. Manager.mu is held.
func (m *Manager) takeOver(d *Download, a answer, now time.Time) {
	w := &d.watch
	old := d.progress
	p := a.progress
	switch {
	case d.cancelled:
		if p.Status.Ended() {
			d.settled = true
			m.save(d)
		}
		p.Status = StatusCancelled
	case old.Status == StatusDone:
		if p.Status != StatusDone {
			m.logLater(slog.LevelInfo, "a node of the server does not know yet that a download is DONE", "op", "poll", "download", d.id, "state", p.Status)
		}
		return
	case m.tooMuch(d, p) && d.dropped && d.waiters == 0:
		m.leaveElsewhere(d, p)
		return
	case m.tooMuch(d, p):
		m.assemble(d, p)
		return
	case p.Status == StatusDone && a.archive == nil:
		return // asked during a Discard that failed: the next poll asks for the archive
	case p.behind(old) && !w.stalled && !w.earlier.confirmed(now, time.Time{}):
		p = old
	default:
		w.earlier.end()
	}
	switch {
	case p.Status == StatusPending:
		w.pending = now
	case old.Status == StatusPending && d.begunAt.IsZero() && !w.pending.IsZero():
		d.begunAt = w.pending
	}
	if p.Status == StatusDone {
		m.server.pace.Learn(&w.forecast, now)
	}
	w.forecast.Observe(now, counters(p))
	if p == old {
		if m.stallTimeout > 0 && !w.stalled && !p.Status.Ended() && m.server.alive-w.quietSince >= m.stallTimeout {
			w.stalled = true
			d.announce()
			m.tellLater(d)
			m.logLater(slog.LevelWarn, "the server makes no progress with a download", "op", "poll", "download", d.id, "state", p.Status)
		}
		return
	}
	w.quietSince, w.stalled = m.server.alive, false
	if p.TotalBytes > m.maxFile && !w.measured && !d.dropped && m.canAssemble(d) && !p.Status.Ended() {
		w.measured = true
		m.running.Go(func() { m.measure(d) })
	}
	d.progress, d.changedAt = p, now
	m.change(d)
	if p.Status == StatusDone {
		d.archive = a.archive
	}
	if p.Status.Ended() {
		w.forecast.Forget() // ten thousand of them would waste memory
	}
	if p.Status != old.Status {
		d.settled = d.settled || p.Status.Ended() && !d.cancelled && p.Status != StatusDone
		m.transition(d, old.Status)
	}
}

// counters returns what a forecast learns from p.
func counters(p Progress) schedule.Counters {
	return schedule.Counters{Begun: p.Status != StatusPending, Added: p.BytesAdded, Total: p.TotalBytes}
}

// gone takes in that the server no longer has the download. Manager.mu is held.
func (m *Manager) gone(d *Download) {
	d.settled = true
	if d.cancelled {
		m.save(d)
		return
	}
	old := d.progress.Status
	d.progress.Status, d.changedAt = StatusExpired, time.Now()
	m.transition(d, old)
}

// transition logs, journals and announces a new status. Manager.mu is held.
func (m *Manager) transition(d *Download, old Status) {
	m.logLater(slog.LevelInfo, "download changed", "op", "poll", "download", d.id, "from", old, "state", d.progress.Status)
	m.save(d)
	d.announce()
	if d.progress.Status.Ended() && !old.Ended() && !d.cancelled && !d.dropped {
		m.tellLater(d)
	}
}

// announceAll wakes every waiter. Manager.mu is held.
func (m *Manager) announceAll() {
	for d := range m.waited {
		d.announce()
	}
}

// schedule sets the time of d's next poll. Manager.mu is held.
func (m *Manager) schedule(d *Download) {
	w := &d.watch
	if d.removed || m.closing || d.settled {
		m.work.Remove(&w.task)
		return
	}
	waited := d.waiters > 0
	slowest := schedule.Slow
	if waited {
		slowest = schedule.Idle
	}
	var wait time.Duration
	now := time.Now()
	doubted := w.absent.pause(now, d.unseenUntil())
	if w.fault == nil {
		doubted = max(doubted, w.refused.pause(now, time.Time{}))
	}
	switch {
	case w.wanted > w.ended && (w.troubled() || m.server.refused != nil):
		wait = freshSpacing
		m.work.RelaxHold(m.server.soonestProbe())
	case doubted > 0:
		wait = doubted
	case d.progress.Status == StatusDone:
		wait = jitter(recheckEvery)
	case w.fails > 0:
		wait = jitter(min(time.Second<<min(w.fails-1, 6), slowest))
		if waited {
			deadline := w.failingSince.Add(m.unreachableTimeout)
			if left := time.Until(deadline); left > 0 {
				wait = min(wait, left)
			}
		}
	case w.fault != nil, w.stalled, m.server.refused != nil:
		wait = jitter(schedule.Slow)
	case waited, time.Since(w.looked) < lookedFor:
		wait = w.forecast.Next(true)
	default:
		wait = jitter(w.forecast.Next(false))
	}
	if pause := w.earlier.pause(now, time.Time{}); pause > 0 {
		wait = min(wait, pause)
	}
	u := schedule.Routine
	switch {
	case waited:
		u = schedule.Urgent
	case d.progress.Status == StatusDone:
		u = schedule.Rare
	}
	m.work.Set(&w.task, time.Now().Add(wait), u)
}

// bringForward makes sure that a new waiter of d gets an answer soon. Manager.mu is
// held.
func (m *Manager) bringForward(d *Download) {
	w := &d.watch
	if d.parts != nil {
		select {
		case d.parts.nudge <- struct{}{}:
		default:
		}
	}
	if d.settled || d.removed || m.closing || d.progress.Status == StatusDone {
		return
	}
	if w.troubled() || m.server.failing() || m.server.refused != nil {
		w.wanted = w.begun + 1
		m.work.Advance(&w.task, w.asked.Add(freshSpacing))
		m.work.RelaxHold(m.server.soonestProbe())
	} else if d.waiters == 1 { // otherwise the other waiters have scheduled it already
		m.work.Advance(&w.task, w.forecast.NextAt(true))
	}
}

// jitter spreads requests that would come at the same moment.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// Look says that a person is looking at the download's progress now. For some seconds
// it is polled as often as if it had a waiter, though after the downloads that have
// one.
func (d *Download) Look() {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &d.watch
	if d.settled || d.removed || m.closing || w.troubled() || d.progress.Status == StatusDone {
		return
	}
	w.looked = time.Now()
	if d.waiters == 0 {
		m.work.Set(&w.task, w.forecast.NextAt(true), schedule.Routine)
	}
}
