package download_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// world is a manager with all it needs. Tests run in virtual time.
type world struct {
	t        *testing.T
	service  *downloadtest.Service
	archives *downloadtest.Archives
	config   download.Config
	*download.Manager
}

// inWorld runs test in a bubble with a fresh world that is closed afterwards.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := downloadtest.NewService()
		w := &world{t: t, service: s, archives: downloadtest.NewArchives(s)}
		w.config = download.Config{
			Service:     s,
			Archives:    w.archives,
			JournalPath: filepath.Join(dir, "journal.db"),
			Logger:      slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		w.open()
		defer func() { assert.NoError(t, w.Close()) }()
		test(t, w)
	})
}

func (w *world) open() {
	w.t.Helper()
	m, err := download.Open(w.config)
	require.NoError(w.t, err)
	w.Manager = m
}

// reopen is a remount.
func (w *world) reopen() {
	w.t.Helper()
	require.NoError(w.t, w.Close())
	w.open()
}

// create makes a download of one node by plan p.
func (w *world) create(p downloadtest.Plan) *download.Download {
	w.t.Helper()
	w.service.SetPlan(p)
	d, err := w.Create(w.t.Context(), aList)
	require.NoError(w.t, err)
	return d
}

// find returns the download with d's id, after a reopen.
func (w *world) find(id download.ID) *download.Download {
	w.t.Helper()
	d, ok := w.Lookup(string(id))
	require.True(w.t, ok, "%s is not listed", id)
	return d
}

var aList = download.List{Entries: []download.Entry{{Node: nodeN(1)}}}

func nodeN(n int) download.NodeID {
	return download.NodeID(fmt.Sprintf("%08x-1111-4111-8111-111111111111", n))
}

// wait starts a waiter; its outcome comes out of the channel.
func wait(d *download.Download) <-chan error {
	done := make(chan error, 1)
	go func() { done <- d.Wait(context.Background()) }()
	synctest.Wait()
	return done
}

// waiting reports whether a waiter still waits.
func waiting(done <-chan error) bool {
	synctest.Wait()
	return len(done) == 0
}

// later lets time pass and all that is due happen.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// failing makes all requests fail, or those of one op, until it is switched off.
type failing struct {
	err  atomic.Pointer[error]
	op   string
	slow time.Duration // before it fails
}

func (f *failing) set(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

func (f *failing) onCall(ctx context.Context, op string, _ download.ID) error {
	err := f.err.Load()
	if err == nil || f.op != "" && f.op != op {
		return nil
	}
	select {
	case <-time.After(f.slow):
	case <-ctx.Done():
	}
	return *err
}

// faults installs a failing in w's service.
func (w *world) faults() *failing {
	f := new(failing)
	w.service.Intercept(f.onCall)
	return f
}

func sortDurations(d []time.Duration) { slices.Sort(d) }
