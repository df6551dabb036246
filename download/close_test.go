package download_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// Close while the server hangs: everything ends at once, and goes on later.
func TestCloseReleasesEverything(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var done []<-chan error
		for range 50 {
			done = append(done, wait(w.create(downloadtest.Plan{Zipping: 24 * time.Hour})))
		}
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		w.service.Intercept(func(ctx context.Context, _ string, _ download.ID) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, w.Remove(d))
		later(10 * time.Second)
		began := time.Now()
		require.NoError(t, w.Close())
		for _, c := range done {
			require.ErrorIs(t, <-c, download.ErrClosed)
		}
		assert.Zero(t, time.Since(began))
		require.NoError(t, w.Close(), "twice is once")
		w.service.Intercept(nil)
		w.open()
		assert.Len(t, w.Downloads(), 50)
		later(time.Minute)
		assert.Len(t, w.service.DownloadIDs(), 50)
	})
}

func TestCloseEndsCreate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(time.Hour)
		done := make(chan error)
		go func() {
			_, err := w.Create(context.Background(), aList)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, w.Close())
		require.ErrorIs(t, <-done, download.ErrClosed)
		_, err := w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrClosed)
		_, err = w.Adopt(t.Context(), "x")
		require.ErrorIs(t, err, download.ErrClosed)
	})
}
