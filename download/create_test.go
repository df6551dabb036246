package download_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

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

func TestCreateOfNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.Create(t.Context(), download.List{})
		require.ErrorIs(t, err, download.ErrInvalid)
		assert.Zero(t, w.service.Count("Create"))
	})
}

// A user who takes a download's id for a node's is told so, and the server is not
// asked.
// Proves S-123.
func TestCreateRefusesDownloads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{})
		require.NoError(t, w.Rename(d, "q3"))
		before := w.service.Count("Create")
		_, err := w.Create(t.Context(), download.List{Entries: []download.Entry{{Node: nodeN(2)}, {Node: download.NodeID(d.ID())}}})
		require.ErrorIs(t, err, download.ErrInvalid)
		assert.Contains(t, err.Error(), string(d.ID())+" is a download, not a node")
		assert.Equal(t, before, w.service.Count("Create"))
	})
}

func TestCreateResolvesPaths(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var list download.List
		var want []download.NodeID
		for i := range 40 {
			path := fmt.Sprintf("/Sites/x/a %d.txt", i)
			want = append(want, w.service.AddFile(path, []byte("x")))
			list.Entries = append(list.Entries, download.Entry{Path: path})
		}
		// The same nodes again by id, with a version: dropped.
		list.Entries = append(list.Entries, download.Entry{Node: want[3] + ";1.0"}, download.Entry{Node: want[3]})
		w.service.SetLatency(time.Second)
		began := time.Now()
		d, err := w.Create(t.Context(), list)
		require.NoError(t, err)
		assert.Equal(t, want, d.NodeIDs())
		assert.Equal(t, 6*time.Second, time.Since(began), "8 at a time, then the POST")
		assert.Equal(t, 8, w.service.Peak())
	})
}

func TestCreateSaysWhichPathFailed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.AddFile("/there", nil)
		list := download.List{Entries: []download.Entry{{Path: "/there"}, {Path: "/not there"}, {Path: "/nor that"}}}
		_, err := w.Create(t.Context(), list)
		require.ErrorIs(t, err, download.ErrNotFound)
		assert.Contains(t, err.Error(), "resolve /n")
		assert.Equal(t, 1, strings.Count(err.Error(), "resolve"), "named once: %v", err)
		assert.Zero(t, w.service.Count("Create"))
		assert.Empty(t, w.Downloads())
		id, outcome := w.LastOutcome()
		assert.Empty(t, id)
		assert.Equal(t, err, outcome)
	})
}

func TestCreatePassesTheServersWord(t *testing.T) {
	for _, sentinel := range []error{
		download.ErrInvalid, download.ErrNotFound, download.ErrUnauthorized, download.ErrForbidden, download.ErrArchived,
		download.ErrConflict, download.ErrUnavailable, download.ErrServerFailed, download.ErrUncertain, download.ErrProtocol,
	} {
		t.Run(sentinel.Error(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults().set(sentinel)
				_, err := w.Create(t.Context(), aList)
				require.ErrorIs(t, err, sentinel)
				assert.Empty(t, w.Downloads())
				assert.Equal(t, 1, w.service.Count("Create"), "it is sent once")
				_, outcome := w.LastOutcome()
				assert.Equal(t, err, outcome)
			})
		})
	}
}

func TestLastOutcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id, err := w.LastOutcome()
		assert.Empty(t, id)
		assert.NoError(t, err)
		d := w.create(downloadtest.Plan{})
		id, err = w.LastOutcome()
		assert.Equal(t, d.ID(), id)
		assert.NoError(t, err)
	})
}

// An interrupted caller loses nothing: the download is there a little later.
func TestCreateOutlivesItsCaller(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Create(ctx, aList)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, w.Downloads())
		later(10 * time.Second)
		require.Len(t, w.Downloads(), 1)
		id, err := w.LastOutcome()
		require.NoError(t, err)
		assert.Equal(t, w.Downloads()[0].ID(), id)
	})
}

func TestCreateBoundsItsRequests(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(time.Second)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := w.Create(t.Context(), aList)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, w.service.Peak(), 16, "8 to create, 8 to poll")
		assert.Len(t, w.Downloads(), 50)
	})
}

// 500 at once: each is there when its Create returns, and after a restart.
func TestCreate500AtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetPlan(downloadtest.Plan{Zipping: time.Second})
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				d, err := w.Create(t.Context(), aList)
				if assert.NoError(t, err) {
					_, ok := w.Lookup(string(d.ID()))
					assert.True(t, ok)
				}
			})
		}
		wg.Wait()
		all := w.Downloads()
		require.Len(t, all, 500)
		for i, d := range all[1:] {
			assert.Greater(t, d.Serial(), all[i].Serial(), "oldest first")
		}
		for _, d := range all {
			require.NoError(t, d.Wait(t.Context()))
		}
		w.reopen()
		require.Len(t, w.Downloads(), 500)
	})
}

// Ids that a hostile server makes up can neither be directories of the mount nor take
// another download's place.
func TestCreateRefusesImpossibleIDs(t *testing.T) {
	for _, id := range []string{
		"", "new", ".", "..", "../../etc", "a/b", "a\x00b", "a\nb", "-rf", ".hidden", "ä", strings.Repeat("a", 1<<20), "a b",
	} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.service.SetNewID(func() string { return id })
				_, err := w.Create(t.Context(), aList)
				require.ErrorIs(t, err, download.ErrProtocol)
				assert.NotErrorIs(t, err, download.ErrInvalid, "it is not the caller's fault")
				assert.Equal(t, 1, strings.Count(err.Error(), "unexpected answer"), err.Error())
				assert.NotContains(t, err.Error(), "invalid request")
				assert.Less(t, len(err.Error()), 500)
				assert.Empty(t, w.Downloads())
			})
		})
	}
}

func TestCreateRefusesTakenIDs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetNewID(func() string { return "same" })
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		_, err := w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrProtocol)
		assert.Equal(t, []*download.Download{d}, w.Downloads())
		later(time.Minute)
		assert.Zero(t, w.service.Count("Cancel")+w.service.Count("Delete"), "the one that is listed is left alone")

		w.service.SetNewID(func() string { return "other" })
		other := w.create(downloadtest.Plan{Zipping: time.Hour})
		require.NoError(t, w.Rename(other, "report"))
		w.service.SetNewID(func() string { return "report" })
		_, err = w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrProtocol, "another download is called that")
	})
}

// The client's words about a lost answer are passed on, however the request ended.
func TestCreateUncertain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults().set(fmt.Errorf("post: %w: %w", download.ErrUncertain, context.DeadlineExceeded))
		_, err := w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrUncertain)
		assert.NotErrorIs(t, err, download.ErrUnavailable)
		w.faults().set(context.DeadlineExceeded)
		_, err = w.Create(t.Context(), aList)
		require.ErrorIs(t, err, download.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "that would be the caller's")
	})
}
