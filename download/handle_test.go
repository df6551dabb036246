package download_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// readAll reads d's whole archive through a handle of its own.
func (w *world) readAll(d *download.Download) ([]byte, error) {
	a, err := w.OpenArchive(d)
	if err != nil {
		return nil, err
	}
	p := make([]byte, d.Snapshot().Archive.Size)
	_, err = a.ReadAt(w.t.Context(), p, 0)
	return p, errors.Join(err, a.Close())
}

func TestOpenArchiveSaysWhyNot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		running := w.create(downloadtest.Plan{Zipping: time.Hour})
		_, err := w.OpenArchive(running)
		require.ErrorIs(t, err, download.ErrNotReady)
		large := w.create(downloadtest.Plan{Bytes: 10, Limit: 5})
		_ = large.Wait(t.Context())
		_, err = w.OpenArchive(large)
		require.ErrorIs(t, err, download.ErrTooLarge)
		require.NoError(t, w.Remove(large))
		_, err = w.OpenArchive(large)
		require.ErrorIs(t, err, download.ErrCancelled)
		done := w.create(downloadtest.Plan{})
		require.NoError(t, done.Wait(t.Context()))
		require.NoError(t, w.Close())
		_, err = w.OpenArchive(running)
		require.ErrorIs(t, err, download.ErrClosed)
	})
}

// The server's cleaner deletes a finished download; a complete copy is kept.
func TestDoneExpires(t *testing.T) {
	for _, cached := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{})
			require.NoError(t, d.Wait(t.Context()))
			want, _ := w.service.Content(d.ID())
			if cached {
				require.NoError(t, w.archives.Fetch(t.Context(), d.Snapshot().Archive))
			}
			before := w.service.Count("Get")
			later(2 * time.Hour)
			assert.InDelta(t, 12, w.service.Count("Get")-before, 2, "looked at every 10 minutes")
			w.service.Expire(d.ID())
			later(12 * time.Minute)
			for range 2 {
				s := d.Snapshot()
				assert.Equal(t, download.StatusExpired, s.Status)
				assert.Equal(t, cached, s.Ready)
				got, err := w.readAll(d)
				if cached {
					require.NoError(t, s.Err)
					require.NoError(t, d.Wait(t.Context()))
					require.NoError(t, err)
					assert.Equal(t, want, got)
					assert.EqualValues(t, len(want), s.CachedBytes)
				} else {
					require.ErrorIs(t, s.Err, download.ErrExpired)
					require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired)
					require.ErrorIs(t, err, download.ErrExpired)
				}
				polls := w.service.Count("Get")
				later(time.Hour)
				assert.Equal(t, polls, w.service.Count("Get"), "it is not asked for any more")
				w.reopen()
				d = w.find(d.ID())
			}
			if cached { // and dropping the copy ends that
				require.NoError(t, w.Discard(d))
				assert.ErrorIs(t, d.Snapshot().Err, download.ErrExpired)
			}
		})
	}
}

// When a reader is told that the archive is gone, the download is polled at once.
func TestReadFindsItExpired(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
		later(time.Minute)
		w.service.Expire(d.ID())
		_, err := w.readAll(d)
		require.ErrorIs(t, err, download.ErrExpired)
		assert.NotErrorIs(t, err, download.ErrNotFound, "which would be ENOENT")
		later(10 * time.Second) // it is asked for more than once
		assert.Equal(t, download.StatusExpired, d.Snapshot().Status)
	})
}

// A download that expired while nothing was mounted is noticed soon after Open.
func TestExpiredWhileUnmounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{})
		running := w.create(downloadtest.Plan{Zipping: time.Hour})
		require.NoError(t, d.Wait(t.Context()))
		later(time.Minute)
		require.NoError(t, w.Close())
		w.service.Expire(d.ID())
		w.service.Expire(running.ID())
		w.open()
		later(10 * time.Second)
		assert.Equal(t, download.StatusExpired, w.find(d.ID()).Snapshot().Status)
		assert.Equal(t, download.StatusExpired, w.find(running.ID()).Snapshot().Status)
	})
}

func TestPrefetch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.create(downloadtest.Plan{})
		require.NoError(t, a.Wait(t.Context()))
		later(time.Minute)
		assert.Empty(t, w.archives.Prefetched(), "not unless it is wanted")

		w.config.Prefetch = true
		w.reopen()
		later(time.Minute)
		assert.Equal(t, []download.ID{a.ID()}, w.archives.Prefetched(), "one that was DONE before")
		b := w.create(downloadtest.Plan{Zipping: time.Second})
		later(time.Minute)
		assert.Equal(t, []download.ID{a.ID(), b.ID()}, w.archives.Prefetched(), "without a waiter too")

		// A complete archive is not fetched again. An incomplete one gets another
		// chance.
		require.NoError(t, w.archives.Fetch(t.Context(), w.find(a.ID()).Snapshot().Archive))
		later(15 * time.Minute)
		assert.NotContains(t, w.archives.Prefetched()[2:], a.ID())
		assert.Contains(t, w.archives.Prefetched()[2:], b.ID())
	})
}

// Prefetching the archives of an earlier mount is spread over time.
func TestPrefetchIsStaggered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 200 {
			w.create(downloadtest.Plan{})
		}
		later(time.Minute)
		w.config.Prefetch = true
		w.reopen()
		later(2 * time.Second)
		n := len(w.archives.Prefetched())
		assert.Less(t, n, 100)
		later(time.Minute)
		assert.Len(t, w.archives.Prefetched(), 200)
	})
}

func TestUsage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.archives.Put("x", make([]byte, 100))
		assert.Equal(t, download.Usage{Limit: 1 << 30, Used: 100, Free: 1<<30 - 100}, w.Usage())
	})
}
