package download_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// turns gives a turn when its channel is closed.
type turns chan struct{}

func (ts turns) Take(ctx context.Context, _ download.ID, _ bool) error {
	select {
	case <-ts:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// supplied is what another mount tells of d when it has made an archive of its parts.
func supplied(d *download.Download, data []byte) download.Listed {
	return download.Listed{
		Progress: download.Progress{ID: d.ID(), Status: download.StatusDone, BytesAdded: 7, TotalBytes: 7, FilesAdded: 2, TotalFiles: 2},
		Archive:  &download.ArchiveInfo{ID: d.ID(), Name: "site.zip", Size: int64(len(data)), ModifiedAt: time.Now()},
	}
}

// A mount that waits for its turn asks the server for nothing. It shows how far the
// other one is, and has the archive that comes of it like any other.
func TestSupply(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		require.NoError(t, w.Close())
		w.config.Turns = make(turns)
		w.open()
		d := w.ask("site")
		waiter := wait(d)
		later(10 * time.Minute)
		require.True(t, waiting(waiter))
		assert.Equal(t, 1, f.made)
		assert.Zero(t, f.calls("Children"))

		p := download.Progress{ID: d.ID(), Status: download.StatusInProgress, BytesAdded: 3, TotalBytes: 7, TotalFiles: 2}
		require.NoError(t, w.Supply(d, download.Listed{Progress: p}))
		assert.Equal(t, p, d.Snapshot().Progress)
		for _, impossible := range []download.Listed{{}, {Progress: download.Progress{ID: "other", Status: download.StatusDone}},
			{Progress: supplied(d, nil).Progress, Archive: &download.ArchiveInfo{ID: "other", Size: 1}}} {
			require.ErrorIs(t, w.Supply(d, impossible), download.ErrInvalid)
		}

		data := []byte("made elsewhere")
		w.archives.Put(d.ID(), data)
		require.NoError(t, w.Supply(d, supplied(d, data)))
		require.NoError(t, <-waiter)
		check := func() {
			t.Helper()
			s := d.Snapshot()
			assert.Equal(t, supplied(d, data).Progress, s.Progress)
			assert.Equal(t, "site.zip", s.Archive.Name)
			assert.Zero(t, s.Parts)
			assert.Equal(t, data, w.read(d))
		}
		check()
		w.reopen()
		d = w.find(d.ID())
		check()
		require.NoError(t, w.Supply(d, download.Listed{Progress: p}))
		check()
		assert.Equal(t, 1, f.made)
	})
}

// A mount that gets the parts itself, and is told that another has done so, lets go of
// what it has.
func TestSupplyInsteadOfOwnParts(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		later(5 * time.Second)
		require.Positive(t, d.Snapshot().Parts.Done)
		require.Less(t, d.Snapshot().Parts.Done, 9)
		before := d.Snapshot().Progress
		require.NoError(t, w.Supply(d, download.Listed{Progress: download.Progress{ID: d.ID(), Status: download.StatusInProgress, BytesAdded: 1}}))
		assert.Equal(t, before, d.Snapshot().Progress)

		data := []byte("made elsewhere")
		require.NoError(t, w.Supply(d, supplied(d, data)))
		assert.Equal(t, download.StatusDone, d.Snapshot().Status)
		assert.Zero(t, d.Snapshot().Parts)
		later(time.Minute)
		assert.Equal(t, []download.ID{d.ID()}, f.left(), "a part stays on the server")
		assert.Zero(t, w.archives.OpenHandles())
		assert.Zero(t, w.Usage().Used)
		w.archives.Put(d.ID(), data)
		w.reopen()
		assert.Equal(t, data, w.read(w.find(d.ID())))
		require.NoError(t, w.Remove(w.find(d.ID())))
		later(time.Minute)
		assert.Empty(t, f.left())
	})
}

// What was cancelled or removed here stays so.
func TestSupplyTooLate(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		data := []byte("made elsewhere")
		d := w.ask("site")
		later(5 * time.Second)
		require.NoError(t, w.Discard(d))
		require.NoError(t, w.Supply(d, supplied(d, data)))
		assert.Equal(t, download.StatusCancelled, d.Snapshot().Status)
		require.NoError(t, w.Remove(d))
		require.NoError(t, w.Supply(d, supplied(d, data)))
		assert.Empty(t, w.Downloads())

		own := w.ask("site")
		b := w.get(own)
		h, err := w.OpenArchive(own)
		require.NoError(t, err)
		require.NoError(t, w.Supply(own, supplied(own, data)))
		assert.Equal(t, b, w.get(own), "its own archive is replaced")
		require.NoError(t, w.Discard(own))
		assert.Equal(t, download.StatusExpired, own.Snapshot().Status)
		w.archives.Put(own.ID(), data)
		_, err = w.OpenArchive(own)
		require.ErrorIs(t, err, download.ErrExpired, "not supplied yet")
		require.NoError(t, w.Supply(own, supplied(own, data)))
		assert.Equal(t, data, w.get(own))
		still := make([]byte, len(b))
		_, err = h.ReadAt(t.Context(), still, 0)
		require.NoError(t, err)
		assert.Equal(t, b, still, "who has opened it before reads what he has opened")
		require.NoError(t, h.Close())
		assert.Zero(t, w.archives.OpenHandles())
	})
}
