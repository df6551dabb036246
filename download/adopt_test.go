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

func TestAdopt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.service.AddDownload(downloadtest.Plan{Zipping: 5 * time.Second}, nodeN(1))
		d, err := w.Adopt(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, id, d.ID())
		assert.Empty(t, d.NodeIDs())
		assert.NotZero(t, d.Serial())
		_, err = w.Adopt(t.Context(), id)
		require.ErrorIs(t, err, download.ErrExists)
		require.NoError(t, d.Wait(t.Context()))
		w.reopen()
		require.NoError(t, w.find(id).Wait(t.Context()))

		done := w.service.AddDownload(downloadtest.Plan{Name: "x.zip"}, nodeN(1))
		began := time.Now()
		d, err = w.Adopt(t.Context(), done)
		require.NoError(t, err)
		require.NoError(t, d.Wait(t.Context()), "a DONE one")
		assert.Zero(t, time.Since(began), "nothing is waited for but answers")
		assert.Equal(t, "x.zip", d.Snapshot().Archive.Name)

		large := w.service.AddDownload(downloadtest.Plan{Bytes: 10, Limit: 5})
		d, err = w.Adopt(t.Context(), large)
		require.NoError(t, err)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrTooLarge)
	})
}

func TestAdoptRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		file := w.service.AddFile("/x", nil)
		_, err := w.Adopt(t.Context(), download.ID(file))
		require.ErrorIs(t, err, download.ErrInvalid, "another kind of node")
		_, err = w.Adopt(t.Context(), "33333333-1111-4111-8111-111111111111")
		require.ErrorIs(t, err, download.ErrNotFound)
		calls := len(w.service.Calls(""))
		for _, id := range []download.ID{"", "new", "../x", "a/b"} {
			_, err = w.Adopt(t.Context(), id)
			require.ErrorIs(t, err, download.ErrInvalid)
		}
		assert.Len(t, w.service.Calls(""), calls, "no request for what cannot be")
		assert.Empty(t, w.Downloads())
	})
}

func TestAdoptTwiceAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(time.Second)
		id := w.service.AddDownload(downloadtest.Plan{}, nodeN(1))
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := w.Adopt(t.Context(), id)
				errs <- err
			}()
		}
		a, b := <-errs, <-errs
		assert.True(t, (a == nil) != (b == nil), "%v, %v", a, b)
		assert.ErrorIs(t, errors.Join(a, b), download.ErrExists)
		assert.Len(t, w.Downloads(), 1)
	})
}

// A download that is being deleted on the server is not adopted again.
func TestAdoptWhileBeingRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour, CancelAfter: 10 * time.Second})
		require.NoError(t, w.Remove(d))
		_, err := w.Adopt(t.Context(), d.ID())
		require.ErrorIs(t, err, download.ErrNotFound)
	})
}
