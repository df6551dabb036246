package download_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

func TestDiscardCancels(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, Bytes: 6000, CancelAfter: 10 * time.Second})
		later(10 * time.Second)
		done := wait(d)
		began := time.Now()
		require.NoError(t, w.Discard(d))
		require.ErrorIs(t, <-done, download.ErrCancelled)
		assert.Zero(t, time.Since(began), "at once")
		s := d.Snapshot()
		assert.Equal(t, download.StatusCancelled, s.Status)
		assert.ErrorIs(t, s.Err, download.ErrCancelled)
		assert.False(t, s.Ready)
		_, err := w.OpenArchive(d)
		require.ErrorIs(t, err, download.ErrCancelled)
		require.NoError(t, w.Discard(d), "again does nothing")

		later(time.Minute)
		assert.Equal(t, 1, w.service.Count("Cancel"))
		assert.Zero(t, w.service.Count("Delete"), "the node stays until the entry goes")
		assert.EqualValues(t, 2000, d.Snapshot().BytesAdded, "the counters that the server reached")
		polls := w.service.Count("Get")
		later(time.Hour)
		assert.Equal(t, polls, w.service.Count("Get"), "it is not asked for any more")

		w.reopen()
		d = w.find(d.ID())
		assert.Equal(t, download.StatusCancelled, d.Snapshot().Status)
		assert.EqualValues(t, 2000, d.Snapshot().BytesAdded)
		later(time.Hour)
		assert.Equal(t, 1, w.service.Count("Cancel"))

		require.NoError(t, w.Remove(d))
		later(time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
		assert.Equal(t, 1, w.service.Count("Cancel"), "the server said that it has ended")
	})
}

// The server may be faster than the cancelling: the download stays CANCELLED.
func TestDiscardIsSticky(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Prefetch = true
		w.reopen()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Second, Bytes: 5000, CancelAfter: time.Hour})
		later(5 * time.Second)
		require.NoError(t, w.Discard(d))
		later(time.Minute)
		p, _ := w.service.Has(d.ID())
		assert.Equal(t, download.StatusDone, p.Status)
		s := d.Snapshot()
		assert.Equal(t, download.StatusCancelled, s.Status)
		assert.EqualValues(t, 5000, s.BytesAdded)
		assert.False(t, s.Ready)
		assert.Empty(t, w.archives.Prefetched())
		w.reopen()
		assert.Equal(t, download.StatusCancelled, w.find(d.ID()).Snapshot().Status)
	})
}

// Cancelled while the server is away, and told after a restart.
func TestDiscardSurvivesRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		f := w.faults()
		f.set(download.ErrUnavailable)
		require.NoError(t, w.Discard(d))
		later(time.Minute)
		w.reopen()
		assert.Equal(t, download.StatusCancelled, w.find(d.ID()).Snapshot().Status)
		f.set(nil)
		later(time.Minute)
		p, _ := w.service.Has(d.ID())
		assert.Equal(t, download.StatusCancelled, p.Status)
		cancels := w.service.Count("Cancel")
		w.reopen()
		later(time.Hour)
		assert.Equal(t, cancels, w.service.Count("Cancel"))
	})
}

// Discarded and then removed before the server was told of either.
func TestDiscardThenRemove(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
			f := w.faults()
			f.set(download.ErrUnavailable)
			require.NoError(t, w.Discard(d))
			if restart {
				w.reopen()
				d = w.find(d.ID())
			}
			require.NoError(t, w.Remove(d))
			later(time.Minute)
			if restart {
				w.reopen()
			}
			f.set(nil)
			later(2 * time.Minute)
			assert.Empty(t, w.service.DownloadIDs())
			assert.Empty(t, w.Downloads())
		})
	}
}

// rm -r: unlink of the archive and rmdir follow each other at once, while the
// cancelling is on its way.
func TestDiscardThenRemoveAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(100 * time.Millisecond)
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
		require.NoError(t, w.Discard(d))
		later(50 * time.Millisecond)
		require.NoError(t, w.Remove(d))
		later(5 * time.Second)
		assert.Empty(t, w.service.DownloadIDs())
		assert.Equal(t, 1, w.service.Count("Delete"))
		deletes := w.service.Calls("Delete")
		created := w.service.Calls("Create")
		assert.Greater(t, deletes[0].At.Sub(created[0].At), time.Second, "after it has ended")
		w.reopen()
		calls := len(w.service.Calls(""))
		later(time.Hour)
		assert.Len(t, w.service.Calls(""), calls)
	})
}

// Unlinking a finished archive drops the local copy; the entry and the server's
// copy stay, and it is not fetched again unasked.
func TestDiscardOfDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Prefetch = true
		w.reopen()
		d := w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, []download.ID{d.ID()}, w.archives.Prefetched())
		require.NoError(t, w.Discard(d))
		assert.Equal(t, []download.ID{d.ID()}, w.archives.Dropped())
		later(time.Hour)
		w.reopen()
		later(time.Hour)
		assert.Len(t, w.archives.Prefetched(), 1)
		assert.Zero(t, w.service.Count("Cancel")+w.service.Count("Delete"))
		d = w.find(d.ID())
		require.NoError(t, d.Wait(t.Context()))
		a, err := w.OpenArchive(d)
		require.NoError(t, err, "it can be read from the server")
		require.NoError(t, a.Close())
	})
}
