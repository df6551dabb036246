package download_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// Whatever changes is told once, and the channel says when there is more.
func TestChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create(downloadtest.Plan{Zipping: time.Hour})
		changed, more := w.Changes()
		assert.Empty(t, changed, "what was before the first call")

		awaits := func(what string, d *download.Download) {
			t.Helper()
			for !slices.Contains(changed, d) {
				select {
				case <-more:
				case <-time.After(2 * time.Hour):
					require.FailNow(t, "nothing is told", what)
				}
				changed, more = w.Changes()
			}
			changed, _ = w.Changes()
			assert.Empty(t, changed, what)
		}
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		awaits("creation", d)
		for d.Snapshot().Status != download.StatusDone {
			awaits("progress", d)
		}
		require.NoError(t, w.Rename(d, "q3"))
		awaits("renaming", d)
		require.NoError(t, w.Remove(d))
		awaits("removal", d)
	})
}
