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

// A download that the server was already asked for is not lost if the server answers
// soon.
// Proves S-32.
func TestCloseAwaitsCreate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(2 * time.Second)
		type result struct {
			d   *download.Download
			err error
		}
		done := make(chan result, 20)
		for range cap(done) {
			go func() {
				d, err := w.Create(context.Background(), aList)
				done <- result{d, err}
			}()
		}
		later(time.Second)
		asked := w.service.Count("Create")
		began := time.Now()
		require.NoError(t, w.Close())
		assert.Equal(t, time.Second, time.Since(began))
		made := 0
		for range cap(done) {
			if r := <-done; r.err == nil {
				made++
			} else {
				require.ErrorIs(t, r.err, download.ErrClosed)
			}
		}
		assert.Equal(t, asked, made)
		assert.Equal(t, asked, w.service.Count("Create"), "those that had to wait for others asked for nothing")
		w.service.SetLatency(0)
		w.open()
		assert.Len(t, w.Downloads(), made)
		assert.Len(t, w.service.DownloadIDs(), made)
	})
}

// Proves S-32.
func TestCloseEndsCreate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(time.Hour)
		done := make(chan error, 2)
		go func() {
			_, err := w.Create(context.Background(), aList)
			done <- err
		}()
		go func() {
			_, err := w.Adopt(context.Background(), "x")
			done <- err
		}()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, w.Close())
		assert.Equal(t, 3*time.Second, time.Since(began))
		require.ErrorIs(t, <-done, download.ErrClosed)
		require.ErrorIs(t, <-done, download.ErrClosed)
		_, err := w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrClosed)
		_, err = w.Adopt(t.Context(), "x")
		require.ErrorIs(t, err, download.ErrClosed)
	})
}
