package download_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// Proves S-77, S-132.
func TestUnreachable(t *testing.T) {
	for _, kind := range []struct {
		name string
		err  error
		slow time.Duration
	}{
		{"refused", fmt.Errorf("get: connection refused: %w", download.ErrUnavailable), 0},
		{"no answer", fmt.Errorf("get: %w", context.DeadlineExceeded), time.Hour},
		{"slow 503", download.ErrUnavailable, 20 * time.Second},
		{"something else", errors.New("odd"), 0},
	} {
		t.Run(kind.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f := w.faults()
				f.slow = kind.slow
				d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
				later(time.Minute)
				f.set(kind.err)
				began := time.Now()
				err := d.Wait(t.Context())
				require.ErrorIs(t, err, download.ErrUnavailable)
				assert.InDelta(t, 150, time.Since(began).Seconds(), 40, "2 minutes and what a request takes")
				assert.ErrorIs(t, d.Snapshot().Err, download.ErrUnavailable)
				assert.Equal(t, download.StatusInProgress, d.Snapshot().Status)
				assert.WithinDuration(t, began, d.Snapshot().NoAnswerSince, time.Minute)
				assert.Equal(t, d.Snapshot().NoAnswerSince, w.Census().NoAnswerSince)

				// New waiters do not wait those minutes again.
				began = time.Now()
				require.ErrorIs(t, d.Wait(t.Context()), download.ErrUnavailable)
				assert.LessOrEqual(t, time.Since(began), 6*time.Second)

				// It goes on slowly, and recovers by itself.
				before := w.service.Count("Get")
				later(time.Hour)
				assert.LessOrEqual(t, w.service.Count("Get")-before, 70)
				assert.GreaterOrEqual(t, w.service.Count("Get")-before, 25)
				f.set(nil)
				later(2*time.Minute + f.slow)
				assert.NoError(t, d.Snapshot().Err)
				assert.Zero(t, d.Snapshot().NoAnswerSince)
			})
		})
	}
}

// A waiter that comes when the server is back gets the archive at once, even after a
// long outage.
func TestUnreachableWaiterFindsItBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Minute})
		f.set(download.ErrUnavailable)
		later(time.Hour)
		f.set(nil)
		began := time.Now()
		require.NoError(t, d.Wait(t.Context()))
		assert.Less(t, time.Since(began), 3*time.Second)
	})
}

// A short outage is not noticed by waiters at all.
// Proves S-77.
func TestShortOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		done := wait(d)
		later(20 * time.Second)
		f.set(download.ErrUnavailable)
		later(90 * time.Second)
		assert.True(t, waiting(done))
		f.set(nil)
		require.NoError(t, <-done)
	})
}

// An outage is probed, not hammered, whatever the number of downloads; all
// waiters hear of it.
func TestOutageWithManyDownloads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		f.slow = time.Second
		var done []<-chan error
		for range 200 {
			done = append(done, wait(w.create(downloadtest.Plan{Zipping: 24 * time.Hour})))
		}
		later(time.Minute)
		f.set(download.ErrUnavailable)
		before := w.service.Count("Get")
		later(100 * time.Second)
		assert.Less(t, w.service.Count("Get")-before, 40)
		later(time.Minute)
		for _, d := range done {
			require.False(t, waiting(d))
			require.ErrorIs(t, <-d, download.ErrUnavailable)
		}
	})
}

// One download that the server cannot tell of does not make it unreachable for
// the others.
func TestOneDownloadFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bad := w.create(downloadtest.Plan{Zipping: time.Hour})
		good := w.create(downloadtest.Plan{Zipping: 5 * time.Minute})
		w.service.Intercept(func(_ context.Context, op string, id download.ID) error {
			if id == bad.ID() {
				return download.ErrUnavailable
			}
			return nil
		})
		badDone, goodDone := wait(bad), wait(good)
		began := time.Now()
		require.ErrorIs(t, <-badDone, download.ErrUnavailable)
		assert.InDelta(t, 120, time.Since(began).Seconds(), 12)
		require.NoError(t, <-goodDone)
	})
}

// While the login is refused, one probe asks now and then. A new waiter asks as well:
// the Service itself knows how often it may send a login.
func TestUnauthorized(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		var all []*download.Download
		for range 100 {
			all = append(all, w.create(downloadtest.Plan{Zipping: 24 * time.Hour}))
		}
		done := wait(all[0])
		later(time.Minute)
		f.set(fmt.Errorf("get: %w", download.ErrUnauthorized))
		before := len(w.service.Calls(""))
		require.ErrorIs(t, <-done, download.ErrUnauthorized)
		later(time.Hour)
		assert.LessOrEqual(t, len(w.service.Calls(""))-before, 75, "in an hour, 8 of them when it began")
		assert.ErrorIs(t, all[50].Snapshot().Err, download.ErrUnauthorized)

		began := time.Now()
		require.ErrorIs(t, all[3].Wait(t.Context()), download.ErrUnauthorized)
		require.LessOrEqual(t, time.Since(began), 250*time.Millisecond, "asked at once")
		later(time.Second)
		before, began = len(w.service.Calls("")), time.Now()
		var waiters []<-chan error
		for _, d := range all {
			waiters = append(waiters, wait(d))
		}
		for _, done := range waiters {
			require.ErrorIs(t, <-done, download.ErrUnauthorized)
		}
		assert.LessOrEqual(t, time.Since(began), 250*time.Millisecond)
		assert.Equal(t, 1, len(w.service.Calls(""))-before, "one answer is fresh for all who wait")

		// When it is accepted again, everything goes on.
		f.set(nil)
		later(2 * time.Minute)
		for _, d := range all {
			require.NoError(t, d.Snapshot().Err)
		}
	})
}

// If an account is refused for a moment, readers are not kept away for long, however
// many polls met the refusal. A waiter who comes when it is over does not notice.
func TestUnauthorizedForAMoment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(20 * time.Millisecond)
		f := w.faults()
		for range 100 {
			w.create(downloadtest.Plan{Zipping: 10 * time.Minute})
		}
		f.set(download.ErrUnauthorized)
		later(20 * time.Second)
		all := w.Downloads()
		require.ErrorIs(t, all[0].Snapshot().Err, download.ErrUnauthorized)
		f.set(nil)
		done := wait(all[7])
		later(time.Second)
		assert.True(t, waiting(done))
		require.NoError(t, all[0].Snapshot().Err)

		f.set(download.ErrUnauthorized)
		later(20 * time.Second)
		f.set(nil)
		later(70 * time.Second)
		require.NoError(t, all[0].Snapshot().Err, "nobody need come for that")
	})
}

// A user's request that succeeds shows that the login works again.
func TestUnauthorizedEndsWithASuccess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		f.set(download.ErrUnauthorized)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrUnauthorized)
		f.set(nil)
		w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
	})
}

func TestForbidden(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 2 * time.Hour})
		f.set(download.ErrForbidden)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrForbidden)
		before := w.service.Count("Get")
		later(time.Hour)
		assert.InDelta(t, 60, w.service.Count("Get")-before, 10)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrForbidden)
		f.set(nil)
		done := wait(d)
		later(time.Second)
		assert.True(t, waiting(done), "the fresh answer counts")
		require.NoError(t, <-done)
	})
}
