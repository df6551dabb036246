package download_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// lag is a node of a cluster that is behind the others: it answers some requests of
// one kind with err.
type lag struct {
	op   string
	err  error
	left atomic.Int64 // how many more
	all  atomic.Int64 // requests of that kind so far
}

func (l *lag) onCall(_ context.Context, op string, _ download.ID) error {
	if op != l.op {
		return nil
	}
	if l.all.Add(1); l.left.Add(-1) >= 0 {
		return l.err
	}
	return nil
}

func (w *world) lag(op string, err error, times int64) *lag {
	l := &lag{op: op, err: err}
	l.left.Store(times)
	w.service.Intercept(l.onCall)
	return l
}

// For about a minute, not every node needs to know a download that was just made.
// Waiters notice the time it takes, and nothing else.
// Proves S-127.
func TestUnseenIsDoubtedForAMinute(t *testing.T) {
	for name, unknown := range map[string]time.Duration{"once": 0, "for 50 s": 50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.lag("Get", download.ErrNotFound, 1)
				if unknown > 0 {
					l.left.Store(1 << 40)
					time.AfterFunc(unknown, func() { l.left.Store(0) })
				}
				d := w.create(downloadtest.Plan{Zipping: 2 * time.Second})
				began := time.Now()
				require.NoError(t, d.Wait(t.Context()))
				assert.Less(t, time.Since(began), unknown+6*time.Second)
				assert.LessOrEqual(t, l.all.Load(), int64(25), "it is not hammered")
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		w.service.Expire(d.ID())
		began := time.Now()
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired, "but not for ever")
		assert.InDelta(t, 62, time.Since(began).Seconds(), 4)
	})
	inWorld(t, func(t *testing.T, w *world) { // a restart within the minute
		l := w.lag("Get", download.ErrNotFound, 1<<40)
		d := w.create(downloadtest.Plan{Zipping: 2 * time.Second})
		later(20 * time.Second)
		w.reopen()
		later(20 * time.Second)
		l.left.Store(0)
		require.NoError(t, w.find(d.ID()).Wait(t.Context()))
	})
}

// One answer, or two within some seconds, that there is no such download change
// nothing, in whichever state it is.
// Proves S-128.
func TestAbsenceIsConfirmed(t *testing.T) {
	for name, plan := range map[string]downloadtest.Plan{
		"pending": {Pending: time.Hour}, "zipping": {Zipping: time.Hour}, "done": {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(plan)
				later(2 * time.Minute)
				before := d.Snapshot().Progress
				l := w.lag("Get", download.ErrNotFound, 2)
				later(30 * time.Minute)
				assert.Greater(t, l.all.Load(), int64(2))
				after := d.Snapshot()
				assert.Equal(t, before.Status, after.Status)
				assert.NotErrorIs(t, after.Err, download.ErrExpired)

				w.service.Expire(d.ID())
				l.all.Store(0)
				later(20 * time.Minute)
				assert.Equal(t, download.StatusExpired, d.Snapshot().Status)
				assert.Equal(t, int64(3), l.all.Load(), "three answers")
			})
		})
	}
}

// An answer that the user may not see a download, or that it is none, is confirmed too.
// Proves S-128.
func TestRefusalIsConfirmed(t *testing.T) {
	for refusal, want := range map[error]error{download.ErrForbidden: download.ErrForbidden, download.ErrInvalid: download.ErrProtocol} {
		inWorld(t, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{Zipping: 10 * time.Second})
			done := wait(d)
			later(2 * time.Second)
			w.lag("Get", refusal, 2)
			require.NoError(t, <-done)

			d = w.create(downloadtest.Plan{Zipping: time.Hour})
			later(2 * time.Second)
			w.lag("Get", refusal, 1<<40)
			began := time.Now()
			require.ErrorIs(t, d.Wait(t.Context()), want)
			assert.Less(t, time.Since(began), 10*time.Second)
		})
	}
}

// If the server has just called a download DONE, its node is there.
// Proves S-129.
func TestArchiveOfADoneDownloadIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.lag("Archive", download.ErrNotFound, 4)
		d := w.create(downloadtest.Plan{Zipping: time.Second})
		require.NoError(t, d.Wait(t.Context()))
		assert.Equal(t, int64(5), l.all.Load())
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.lag("Archive", download.ErrNotFound, 1<<40)
		d := w.create(downloadtest.Plan{Zipping: time.Second})
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrProtocol)
		assert.ErrorContains(t, err, "has had no archive of it since")
	})
}

// twoNodes is a service where each second request reaches a node that is still in the
// state of the beginning.
type twoNodes struct {
	*downloadtest.Service
	gets atomic.Int64
}

func (s *twoNodes) Get(ctx context.Context, id download.ID) (download.Progress, error) {
	p, err := s.Service.Get(ctx, id)
	if s.gets.Add(1)%2 == 0 {
		p = download.Progress{ID: id, Status: download.StatusPending}
	}
	return p, err
}

// A node that is behind does not bring back earlier states and counters. It does not
// hide that a download stands still either.
// Proves S-120.
func TestStatesDoNotGoBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Service = &twoNodes{Service: w.service}
		w.reopen()
		d := w.create(downloadtest.Plan{Zipping: time.Minute, Bytes: 100 << 20})
		done := wait(d)
		var last download.Progress
		for range 50 {
			later(time.Second)
			now := d.Snapshot().Progress
			assert.GreaterOrEqual(t, now.BytesAdded, last.BytesAdded)
			assert.True(t, last.Status != download.StatusInProgress || now.Status == last.Status, now.Status)
			last = now
		}
		assert.NotZero(t, last.BytesAdded)
		require.NoError(t, <-done)
	})
	inWorld(t, func(t *testing.T, w *world) { // a download that really has begun anew is believed
		d := w.create(downloadtest.Plan{Zipping: time.Hour, Bytes: 100 << 20})
		later(30 * time.Minute)
		require.NotZero(t, d.Snapshot().BytesAdded)
		w.service.Replan(d.ID(), downloadtest.Plan{Pending: time.Hour})
		later(5 * time.Minute)
		assert.Equal(t, download.StatusPending, d.Snapshot().Status)
	})
}

// A removal is not forgotten because of one node that does not know the download.
// Proves S-121.
func TestRemovalIsConfirmed(t *testing.T) {
	for _, op := range []string{"Cancel", "Delete"} {
		for _, answer := range []error{download.ErrNotFound, download.ErrInvalid} {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{Zipping: time.Hour, CancelAfter: time.Second})
				later(2 * time.Minute)
				w.lag(op, answer, 2)
				require.NoError(t, w.Remove(d))
				later(time.Minute)
				assert.Empty(t, w.service.DownloadIDs(), "%s: %v", op, answer)
			})
		}
	}
	inWorld(t, func(t *testing.T, w *world) { // removed before any node but one knew of it
		w.lag("Cancel", download.ErrNotFound, 8)
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		require.NoError(t, w.Remove(d))
		later(2 * time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
	})
}

// A download that was taken for deleted is still removed on the server.
// Proves S-121.
func TestExpiredIsRemovedOnTheServer(t *testing.T) {
	for name, plan := range map[string]downloadtest.Plan{"zipping": {Zipping: time.Hour}, "done": {}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(plan)
				later(time.Minute)
				l := w.lag("Get", download.ErrNotFound, 1<<40)
				later(20 * time.Minute)
				require.Equal(t, download.StatusExpired, d.Snapshot().Status)
				l.left.Store(0)
				require.NoError(t, w.Remove(d))
				later(time.Minute)
				assert.Empty(t, w.service.DownloadIDs())
			})
		})
	}
}

// mkdir asks for a download that another node has made a moment ago.
// Proves S-128.
func TestAdoptionIsConfirmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.service.AddDownload(downloadtest.Plan{Zipping: time.Hour}, nodeN(1))
		w.lag("Get", download.ErrNotFound, 2)
		began := time.Now()
		_, err := w.Adopt(t.Context(), id)
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 2*time.Second, "whoever lists the directory waits")
	})
}
