package download_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

func TestReopenGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		before := d.Snapshot()
		serial := d.Serial()
		w.reopen()
		d = w.find(d.ID())
		assert.Equal(t, serial, d.Serial())
		assert.Equal(t, []download.NodeID{nodeN(1)}, d.NodeIDs())
		assert.True(t, before.CreatedAt.Equal(d.Snapshot().CreatedAt))
		require.NoError(t, d.Wait(t.Context()))
	})
}

// Opening, listing and what is cached need no server.
func TestOpenWithoutServer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		done := w.create(downloadtest.Plan{})
		require.NoError(t, done.Wait(t.Context()))
		require.NoError(t, w.archives.Fetch(t.Context(), done.Snapshot().Archive))
		want, _ := w.service.Content(done.ID())
		w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		w.faults().set(download.ErrUnavailable)
		began := time.Now()
		w.reopen()
		assert.Zero(t, time.Since(began))
		require.Len(t, w.Downloads(), 2)
		later(10 * time.Minute)
		done = w.find(done.ID())
		require.NoError(t, done.Wait(t.Context()))
		got, err := w.readAll(done)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
}

// If the mount is killed at any moment, the effect of every acknowledged call is there.
// The test copies the journal's file as it is on disk while the manager runs.
func TestCrash(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		crash := func() {
			t.Helper()
			copied := filepath.Join(t.TempDir(), "journal.db")
			copyFile(t, w.config.JournalPath, copied)
			require.NoError(t, w.Close())
			w.config.JournalPath = copied
			w.open()
		}
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		id, serial := d.ID(), d.Serial()
		crash()
		d = w.find(id)
		assert.Equal(t, serial, d.Serial())
		require.NoError(t, w.Rename(d, "report"))
		crash()
		d, ok := w.Lookup("report")
		require.True(t, ok)
		other := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		assert.Greater(t, other.Serial(), serial)
		w.faults().set(download.ErrUnavailable)
		require.NoError(t, w.Discard(d))
		crash()
		d, ok = w.Lookup("report")
		require.True(t, ok)
		assert.Equal(t, download.StatusCancelled, d.Snapshot().Status)
		require.NoError(t, w.Remove(d))
		crash()
		assert.Len(t, w.Downloads(), 1)
		w.service.Intercept(nil)
		later(time.Minute)
		assert.Equal(t, []download.ID{other.ID()}, w.service.DownloadIDs(), "the removal was not forgotten")
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}

func TestOpenNeedsAJournal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := download.Open(w.config)
		require.ErrorIs(t, err, download.ErrLocked)
		other := w.config
		other.JournalPath = w.config.JournalPath + ".empty"
		require.NoError(t, os.WriteFile(other.JournalPath, nil, 0o600))
		_, err = download.Open(other)
		require.ErrorIs(t, err, download.ErrDamaged)
	})
}
