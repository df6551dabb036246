package download_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// Of a download in trouble OpenArchive says that it may yet come, and why it has
// not: who wants to wait waits, and the others know the reason.
func TestOpenArchiveInTrouble(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.StallTimeout = time.Minute
		w.reopen()
		d := w.create(downloadtest.Plan{Zipping: time.Hour, Bytes: 1})
		_, err := w.OpenArchive(d)
		require.ErrorIs(t, err, download.ErrNotReady)
		require.NotErrorIs(t, err, download.ErrStalled)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrStalled)
		_, err = w.OpenArchive(d)
		require.ErrorIs(t, err, download.ErrNotReady)
		require.ErrorIs(t, err, download.ErrStalled)
		require.NoError(t, w.Remove(d))
		_, err = w.OpenArchive(d)
		assert.NotErrorIs(t, err, download.ErrNotReady)
		assert.ErrorIs(t, err, download.ErrCancelled)
	})
}
