package download_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

func TestRename(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		other := w.create(downloadtest.Plan{Zipping: time.Hour})
		require.NoError(t, w.Rename(d, "q3 report, final #2"))
		assert.Equal(t, "q3 report, final #2", d.Snapshot().Name)
		got, ok := w.Lookup("q3 report, final #2")
		assert.True(t, ok)
		assert.Same(t, d, got)
		_, ok = w.Lookup(string(d.ID()))
		assert.False(t, ok, "it is called otherwise now")

		require.ErrorIs(t, w.Rename(other, "q3 report, final #2"), download.ErrExists)
		require.ErrorIs(t, w.Rename(d, string(other.ID())), download.ErrName)
		require.ErrorIs(t, w.Rename(other, string(d.ID())), download.ErrName, "even while it is called otherwise")
		require.NoError(t, w.Rename(d, "q3 report, final #2"), "its own name")

		w.reopen()
		d, ok = w.Lookup("q3 report, final #2")
		require.True(t, ok)
		require.NoError(t, w.Rename(d, "again"))
		_, ok = w.Lookup("q3 report, final #2")
		assert.False(t, ok)
		require.NoError(t, w.Rename(w.find(other.ID()), "q3 report, final #2"), "the name is free")
		require.NoError(t, w.Rename(d, string(d.ID())))
		assert.Equal(t, string(d.ID()), d.Snapshot().Name)
		w.reopen()
		assert.Equal(t, string(d.ID()), w.find(d.ID()).Snapshot().Name)

		require.NoError(t, w.Remove(w.find(d.ID())))
		removed := w.Downloads()[0]
		require.NoError(t, w.Remove(removed))
		_, ok = w.Lookup("q3 report, final #2")
		assert.False(t, ok)
	})
}

func TestRenameAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		errs := make(chan error)
		for range 20 {
			d := w.create(downloadtest.Plan{Zipping: time.Hour})
			go func() { errs <- w.Rename(d, "wanted") }()
		}
		ok := 0
		for range 20 {
			if err := <-errs; err == nil {
				ok++
			} else {
				assert.ErrorIs(t, err, download.ErrExists)
			}
		}
		assert.Equal(t, 1, ok)
	})
}
