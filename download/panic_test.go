package download_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// grim is an error that panics when it is asked for its reason, which happens while the
// Manager is locked.
type grim struct{ error }

func (g grim) Unwrap() error { return g.error }
func (grim) Reason() string  { panic("scripted") }

// A panic that somebody recovers leaves the Manager unlocked, so that everybody else
// can use it.
// Proves S-78.
func TestPanicFreesTheLock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		faults := w.faults()
		faults.set(grim{download.ErrUnauthorized})
		later(time.Minute)
		for name, ask := range map[string]func(){
			"Snapshot":    func() { d.Snapshot() },
			"Wait":        func() { _ = d.Wait(t.Context()) },
			"OpenArchive": func() { _, _ = w.OpenArchive(d) },
		} {
			require.PanicsWithValue(t, "scripted", ask, name)
			require.True(t, w.Unlocked(), name)
		}
		faults.set(nil)
		later(10 * time.Minute)

		waited := make(chan any, 1) // of one who waits already when it happens
		go func() {
			defer func() { waited <- recover() }()
			_ = d.Wait(t.Context())
		}()
		later(time.Second)
		faults.set(grim{download.ErrUnauthorized})
		require.Equal(t, "scripted", <-waited)
		faults.set(nil)
		later(10 * time.Minute)
		require.NoError(t, d.Wait(t.Context()))
	})
}
