package download_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// ends collects what a manager tells of.
type ends struct {
	mu  sync.Mutex
	all []download.Snapshot
}

func (e *ends) tell(s download.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, s)
}

// take returns what was told since the last take.
func (e *ends) take() []download.Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.all = nil }()
	return e.all
}

// Each end is told once, with the state that it has then, and what the user ends is not
// told.
// Proves S-198.
func TestEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var told ends
		w.config.Ended = told.tell
		w.reopen()

		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, w.Rename(d, "q3"))
		later(30 * time.Second)
		assert.Empty(t, told.take(), "before its end")
		later(time.Hour)
		all := told.take()
		require.Len(t, all, 1)
		assert.True(t, all[0].Ready)
		assert.Equal(t, "q3", all[0].Name)
		assert.Positive(t, all[0].Archive.Size)
		w.service.Expire(d.ID())
		later(time.Hour)
		assert.Empty(t, told.take(), "that it expires later is no end")

		cancelled := w.create(downloadtest.Plan{Zipping: time.Minute})
		removed := w.create(downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, w.Discard(cancelled))
		require.NoError(t, w.Remove(removed))
		later(time.Hour)
		assert.Empty(t, told.take(), "the user did that")

		elsewhere := w.create(downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, w.service.Cancel(t.Context(), elsewhere.ID()))
		later(time.Hour)
		all = told.take()
		require.Len(t, all, 1)
		assert.False(t, all[0].Ready)
		assert.ErrorIs(t, all[0].Err, download.ErrCancelled)

		w.create(downloadtest.Plan{Zipping: 2 * time.Minute, FailAfter: 30 * time.Second})
		later(time.Hour)
		all = told.take()
		require.Len(t, all, 1)
		assert.ErrorIs(t, all[0].Err, download.ErrStalled)

		// What ends while nothing is mounted is told afterwards.
		w.create(downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, w.Close())
		time.Sleep(time.Hour)
		w.open()
		later(time.Minute)
		all = told.take()
		require.Len(t, all, 1)
		assert.True(t, all[0].Ready)
	})
}

// A census counts every download once, and every status is in it.
func TestCensus(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create(downloadtest.Plan{})
		later(time.Minute)
		waited := w.create(downloadtest.Plan{Zipping: time.Hour})
		later(time.Minute)
		w.create(downloadtest.Plan{Pending: time.Hour})
		waiting := []<-chan error{wait(waited), wait(waited)}
		later(time.Second)
		c := w.Census()
		assert.Equal(t, map[download.Status]int{
			download.StatusPending: 1, download.StatusInProgress: 1, download.StatusDone: 1,
			download.StatusCancelled: 0, download.StatusTooLarge: 0, download.StatusExpired: 0,
		}, c.ByStatus)
		assert.Equal(t, 2, c.Waiters)
		assert.Zero(t, c.Removals)
		w.service.SetLatency(time.Second)
		require.NoError(t, w.Remove(waited))
		for _, failed := range waiting {
			require.ErrorIs(t, <-failed, download.ErrCancelled)
		}
		assert.Equal(t, 1, w.Census().Removals)
		later(time.Hour)
		assert.Zero(t, w.Census().Removals)
	})
}

// The time in which a download waits for its turn is told from that in which it is
// zipped.
// Proves S-132.
func TestBegunAt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Pending: 10 * time.Minute, Zipping: time.Hour})
		made := time.Now()
		later(9 * time.Minute)
		assert.Zero(t, d.Snapshot().BegunAt)
		later(10 * time.Minute)
		s := d.Snapshot()
		require.Equal(t, download.StatusInProgress, s.Status)
		assert.InDelta(t, 600, s.BegunAt.Sub(made).Seconds(), 60)
		later(time.Hour)
		assert.Equal(t, s.BegunAt, d.Snapshot().BegunAt)
	})
}
