package download_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// listed is what another mount tells of a download of paths that the server of f has
// refused as too large.
func (f *forest) listed(t *testing.T, paths ...string) download.Listed {
	t.Helper()
	var nodes []download.NodeID
	for _, e := range forestList(paths...).Entries {
		nodes = append(nodes, e.Node)
	}
	p, err := f.Create(t.Context(), nodes)
	require.NoError(t, err)
	later(time.Second)
	p, err = f.Get(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, download.StatusTooLarge, p.Status)
	return download.Listed{Progress: p, Nodes: nodes, CreatedAt: time.Now()}
}

// What the server refuses as too large is told to the other mounts in the server's
// words, however far the parts are here.
// Proves S-220.
func TestRollOfParts(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		w.refused(d)
		for d.Snapshot().Status != download.StatusDone {
			all := w.Roll(nil)
			require.Len(t, all, 1)
			s := d.Snapshot()
			require.Equal(t, download.Progress{ID: d.ID(), Status: download.StatusTooLarge, BytesAdded: 1000,
				TotalBytes: s.TotalBytes, TotalFiles: s.TotalFiles}, all[0].Progress)
			later(500 * time.Millisecond)
		}
	})
}

// A download of another mount that is too large for one zip is got in parts here only
// when somebody wants it, then in parts as large as they may be, and also after a
// remount, and when the server has deleted the one that was refused.
// Proves S-220.
func TestEnlistedIsNotGotInParts(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		l := f.listed(t, "site")
		d, err := w.Enlist(l)
		require.NoError(t, err)
		later(2 * time.Hour)
		check := func() {
			s := d.Snapshot()
			require.Equal(t, download.StatusPending, s.Status)
			require.NoError(t, s.Err)
			require.Equal(t, l.TotalBytes, s.TotalBytes)
			require.Equal(t, l.Progress, w.Roll(nil)[0].Progress, "what is told on")
			require.Equal(t, 1, f.calls("Create"))
			require.Zero(t, f.calls("Children"))
			require.Zero(t, f.calls("Cancel"))
		}
		check()
		w.reopen()
		d = w.find(l.ID)
		later(2 * time.Hour)
		check()
		require.Less(t, f.calls("Get"), 10)
		require.NoError(t, f.Delete(t.Context(), l.ID))
		requireWhole(t, f, w.get(d), "site")
		require.Equal(t, 9, f.calls("Create"), "8 parts, and the whole")
		require.Zero(t, f.calls("Cancel"))
	})
}

// A download of another mount is not cancelled on the server because this mount wants
// smaller parts.
// Proves S-220.
func TestEnlistedIsLeftWhole(t *testing.T) {
	f := aForest()
	f.limit = 1 << 20
	inForest(t, f, func(t *testing.T, w *world) {
		require.NoError(t, w.Close())
		w.config.PartSize = 100
		w.config.MaxFile = 2000
		w.open()
		f.zipping = time.Minute
		nodes := []download.NodeID{download.NodeID(forestID("site"))}
		p, err := f.Create(t.Context(), nodes)
		require.NoError(t, err)
		d, err := w.Enlist(download.Listed{Progress: p, Nodes: nodes, CreatedAt: time.Now()})
		require.NoError(t, err)
		requireWhole(t, f, w.get(d), "site")
		require.Zero(t, f.calls("Cancel"))
		require.Equal(t, 1, f.calls("Create"))
	})
}
