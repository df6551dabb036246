package download_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// Proves S-76.
func TestStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 2 * time.Minute, FailAfter: 30 * time.Second})
		began := time.Now()
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrStalled)
		assert.Contains(t, err.Error(), "10m0s")
		assert.InDelta(t, 630, time.Since(began).Seconds(), 35, "10 minutes after the last progress")
		s := d.Snapshot()
		assert.ErrorIs(t, s.Err, download.ErrStalled)
		assert.Equal(t, download.StatusInProgress, s.Status)
		assert.NotContains(t, s.Err.Error(), "\n")

		// It is polled slowly from now on.
		before := w.service.Count("Get")
		later(time.Hour)
		assert.InDelta(t, 60, w.service.Count("Get")-before, 10)

		// A new waiter makes the manager poll once more, and does not wait long.
		before = w.service.Count("Get")
		began = time.Now()
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrStalled)
		assert.Less(t, time.Since(began), time.Second)
		assert.Equal(t, 1, w.service.Count("Get")-before)

		// Many waiters share that poll.
		before = w.service.Count("Get")
		done := make(chan error)
		for range 100 {
			go func() { done <- d.Wait(context.Background()) }()
		}
		for range 100 {
			require.ErrorIs(t, <-done, download.ErrStalled)
		}
		assert.LessOrEqual(t, w.service.Count("Get")-before, 2)

		// When it moves again, that is over.
		w.service.Replan(d.ID(), downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, d.Wait(t.Context()))
		assert.NoError(t, d.Snapshot().Err)
	})
}

// A stall is seen by the poller alone as well, and recovers without a waiter.
func TestStallWithoutWaiters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, FailAfter: time.Second})
		later(12 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
		w.service.Replan(d.ID(), downloadtest.Plan{Zipping: time.Second})
		later(2 * time.Minute)
		s := d.Snapshot()
		assert.NoError(t, s.Err)
		assert.Equal(t, download.StatusDone, s.Status)
	})
}

func TestStallTimeoutIsConfigured(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		stalls  bool
	}{{time.Minute, true}, {-1, false}, {20 * time.Hour, false}} {
		t.Run(test.timeout.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.config.StallTimeout = test.timeout
				w.reopen()
				d := w.create(downloadtest.Plan{Zipping: time.Hour, FailAfter: time.Second})
				done := wait(d)
				later(3 * time.Hour)
				assert.Equal(t, !test.stalls, waiting(done))
				require.NoError(t, w.Remove(d))
				<-done
			})
		})
	}
}

// Only time in which the server answers counts. An outage, a suspended machine or a
// request that hangs is no stall.
// Proves S-76.
func TestOutageIsNoStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Hour, FailAfter: time.Second})
		later(8 * time.Minute)
		f.set(download.ErrUnavailable)
		later(5 * time.Hour)
		f.set(nil)
		later(70 * time.Second) // until the slow poll finds it back
		assert.NoError(t, d.Snapshot().Err, "8 minutes and a little")
		later(3 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
	})
}

// Proves S-76.
func TestSuspendIsNoStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Hour, FailAfter: time.Second})
		var asleep atomic.Bool
		w.service.Intercept(func(context.Context, string, download.ID) error {
			if asleep.CompareAndSwap(true, false) {
				time.Sleep(5 * time.Hour) // and then the answer comes
			}
			return nil
		})
		later(5 * time.Minute)
		asleep.Store(true)
		later(5*time.Hour + 2*time.Minute)
		assert.NoError(t, d.Snapshot().Err)
		later(5 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
	})
}

// With 10,000 downloads each is polled so seldom that the server's answers to
// the others must count as well.
func TestStallAmongMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		var wg sync.WaitGroup
		for range 1500 {
			id := w.service.AddDownload(downloadtest.Plan{Zipping: 100 * time.Hour, Bytes: 1 << 40})
			wg.Go(func() {
				_, err := w.Adopt(t.Context(), id)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		d := w.create(downloadtest.Plan{Zipping: time.Hour, FailAfter: time.Second})
		later(13 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
		for _, other := range w.Downloads() {
			if other != d {
				assert.NoError(t, other.Snapshot().Err)
			}
		}
	})
}
