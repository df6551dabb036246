package download_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// A download that cannot be remembered is taken back.
func TestCreateOnAFullDisk(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		free := download.FillDisk(w.config.JournalPath)
		w.service.SetPlan(downloadtest.Plan{Zipping: time.Hour})
		_, err := w.Create(t.Context(), aList)
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.Empty(t, w.Downloads())
		later(5 * time.Second)
		assert.Equal(t, 1, w.service.Count("Create"))
		assert.Equal(t, 1, w.service.Count("Cancel"))
		assert.Empty(t, w.service.DownloadIDs())
		free()
		w.create(downloadtest.Plan{})
	})
}

// A change that cannot be journaled has not happened.
func TestChangesOnAFullDisk(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		done := wait(d)
		free := download.FillDisk(w.config.JournalPath)
		require.ErrorIs(t, w.Remove(d), syscall.ENOSPC)
		require.ErrorIs(t, w.Discard(d), syscall.ENOSPC)
		require.ErrorIs(t, w.Rename(d, "report"), syscall.ENOSPC)
		_, err := w.Adopt(t.Context(), w.service.AddDownload(downloadtest.Plan{}, nodeN(1)))
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.Equal(t, []*download.Download{d}, w.Downloads())
		assert.Same(t, d, w.find(d.ID()))
		_, taken := w.Lookup("report")
		assert.False(t, taken)
		assert.True(t, waiting(done))
		assert.NoError(t, d.Snapshot().Err)

		require.NoError(t, <-done, "it goes on")
		later(time.Minute)
		assert.Zero(t, w.service.Count("Cancel")+w.service.Count("Delete"))
		free()
		later(2 * time.Minute)
		w.service.Expire(d.ID())
		w.reopen()
		assert.Equal(t, download.StatusDone, w.find(d.ID()).Snapshot().Status, "the transition was journaled after all")
	})
}

// A poll that began while the archive was being discarded did not ask for the archive's
// size. When the Discard fails, that poll's DONE is not believed yet.
func TestDiscardFailsDuringTheLastPoll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Second})
		later(9 * time.Second)
		w.service.SetLatency(5 * time.Second)
		release := w.HoldJournal()
		discarded := make(chan error, 1)
		go func() { discarded <- w.Discard(d) }()
		later(time.Millisecond)
		d.Look() // polls
		polls := w.service.Count("Get")
		later(2 * time.Second)
		require.Equal(t, polls+1, w.service.Count("Get"), "a poll is on its way")
		free := download.FillDisk(w.config.JournalPath)
		release()
		require.ErrorIs(t, <-discarded, syscall.ENOSPC)
		free()
		require.NoError(t, d.Wait(t.Context()))
		a, err := w.OpenArchive(d)
		require.NoError(t, err)
		require.NoError(t, a.Close())
	})
}
