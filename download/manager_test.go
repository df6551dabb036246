package download_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
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

func TestCreateWaitOpenRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Pending: time.Second, Zipping: 5 * time.Second})
		assert.Equal(t, download.StatusPending, d.Snapshot().Status)
		assert.NotZero(t, d.Serial())
		assert.Equal(t, []download.NodeID{nodeN(1)}, d.NodeIDs())
		_, err := w.OpenArchive(d)
		require.ErrorIs(t, err, download.ErrNotReady)

		require.NoError(t, d.Wait(t.Context()))
		s := d.Snapshot()
		assert.Equal(t, download.StatusDone, s.Status)
		assert.True(t, s.Ready)
		assert.NoError(t, s.Err)
		want, _ := w.service.Content(d.ID())
		assert.EqualValues(t, len(want), s.Archive.Size)

		a, err := w.OpenArchive(d)
		require.NoError(t, err)
		got := make([]byte, len(want))
		_, err = a.ReadAt(t.Context(), got, 0)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.EqualValues(t, len(want), d.Snapshot().CachedBytes)
		require.NoError(t, a.Close())
	})
}

func TestReopenGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		before := d.Snapshot()
		serial := d.Serial()
		w.reopen()
		d = w.find(d.ID())
		assert.Equal(t, serial, d.Serial())
		assert.Equal(t, []download.NodeID{nodeN(1)}, d.NodeIDs())
		assert.True(t, before.CreatedAt.Equal(d.Snapshot().CreatedAt))
		require.NoError(t, d.Wait(t.Context()))
	})
}

func TestRemoveCancelsAndDeletes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, CancelAfter: time.Second})
		waiting := make(chan error)
		go func() { waiting <- d.Wait(context.Background()) }()
		synctest.Wait()
		require.NoError(t, w.Remove(d))
		require.ErrorIs(t, <-waiting, download.ErrCancelled)
		_, listed := w.Lookup(string(d.ID()))
		assert.False(t, listed)
		assert.Empty(t, w.Downloads())
		time.Sleep(5 * time.Second)
		_, there := w.service.Has(d.ID())
		assert.False(t, there)
		assert.Equal(t, 1, w.service.Count("Cancel"))
		assert.Equal(t, 1, w.service.Count("Delete"))
		w.reopen()
		assert.Empty(t, w.Downloads())
	})
}
