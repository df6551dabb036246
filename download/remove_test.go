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

func TestRemoveCancelsAndDeletes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, CancelAfter: 3 * time.Second})
		a, b := wait(d), wait(d)
		began := time.Now()
		require.NoError(t, w.Remove(d))
		require.ErrorIs(t, <-a, download.ErrCancelled)
		require.ErrorIs(t, <-b, download.ErrCancelled)
		assert.Zero(t, time.Since(began), "at once")
		_, listed := w.Lookup(string(d.ID()))
		assert.False(t, listed)
		assert.Empty(t, w.Downloads())
		assert.Equal(t, []download.ID{d.ID()}, w.archives.Dropped())
		require.ErrorIs(t, w.Remove(d), download.ErrNotFound)
		require.ErrorIs(t, w.Discard(d), download.ErrNotFound)
		require.ErrorIs(t, w.Rename(d, "x"), download.ErrNotFound)

		later(2 * time.Second)
		p, there := w.service.Has(d.ID())
		assert.True(t, there, "not deleted before it has ended")
		assert.Equal(t, download.StatusInProgress, p.Status)
		later(5 * time.Second)
		_, there = w.service.Has(d.ID())
		assert.False(t, there)
		assert.Equal(t, 1, w.service.Count("Cancel"))
		assert.Equal(t, 1, w.service.Count("Delete"))
		calls := len(w.service.Calls(""))
		later(time.Hour)
		assert.Len(t, w.service.Calls(""), calls, "nothing is left to do")
		w.reopen()
		later(time.Hour)
		assert.Empty(t, w.Downloads())
		assert.Len(t, w.service.Calls(""), calls)
	})
}

func TestRemoveOfEnded(t *testing.T) {
	for _, test := range []struct {
		name            string
		plan            downloadtest.Plan
		expire          bool
		cancels, delete int
	}{
		{"done", downloadtest.Plan{}, false, 0, 1},
		{"too large", downloadtest.Plan{Bytes: 10, Limit: 5}, false, 0, 1},
		{"expired", downloadtest.Plan{Zipping: time.Hour}, true, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(test.plan)
				if test.expire {
					w.service.Expire(d.ID())
				}
				_ = d.Wait(t.Context())
				require.NoError(t, w.Remove(d))
				later(time.Minute)
				assert.Equal(t, test.cancels, w.service.Count("Cancel"))
				assert.Equal(t, test.delete, w.service.Count("Delete"))
				assert.Empty(t, w.service.DownloadIDs())
			})
		})
	}
}

// A download whose zipping hangs never ends: its node is deleted all the same.
func TestRemoveOfOneThatNeverEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 100 * time.Hour, CancelAfter: 50 * time.Hour})
		require.NoError(t, w.Remove(d))
		later(29 * time.Second)
		assert.Zero(t, w.service.Count("Delete"))
		later(5 * time.Second)
		assert.Equal(t, 1, w.service.Count("Delete"))
		assert.Empty(t, w.service.DownloadIDs())
	})
}

// The server may be away for long: removing goes on when it is back.
func TestRemoveIsRetried(t *testing.T) {
	for _, step := range []string{"Cancel", "Get", "Delete", ""} {
		t.Run("at "+step, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
				f := w.faults()
				f.op = step
				f.set(download.ErrUnavailable)
				require.NoError(t, w.Remove(d))
				later(5 * time.Hour)
				_, there := w.service.Has(d.ID())
				assert.True(t, there)
				assert.Less(t, len(w.service.Calls("")), 150, "it is not hammered")
				f.set(nil)
				later(11 * time.Minute)
				assert.Empty(t, w.service.DownloadIDs())
			})
		})
	}
}

// It also survives any number of restarts.
func TestRemoveSurvivesRestart(t *testing.T) {
	for _, step := range []string{"Cancel", "Get", "Delete"} {
		t.Run("at "+step, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
				f := w.faults()
				f.op = step
				f.set(download.ErrUnavailable)
				require.NoError(t, w.Remove(d))
				for range 3 {
					later(10 * time.Second)
					w.reopen()
					assert.Empty(t, w.Downloads())
				}
				f.set(nil)
				later(time.Minute)
				assert.Empty(t, w.service.DownloadIDs())
				calls := len(w.service.Calls(""))
				w.reopen()
				later(time.Hour)
				assert.Len(t, w.service.Calls(""), calls, "it is not done twice")
			})
		})
	}
}

// What the server refuses for good is given up.
func TestRemoveIsGivenUp(t *testing.T) {
	for _, refusal := range []error{download.ErrForbidden, download.ErrInvalid, download.ErrNotFound} {
		t.Run(refusal.Error(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{})
				require.NoError(t, d.Wait(t.Context()))
				f := w.faults()
				f.set(refusal)
				require.NoError(t, w.Remove(d))
				later(time.Second)
				assert.Equal(t, 1, w.service.Count("Delete"))
				f.set(nil)
				w.reopen()
				later(time.Hour)
				assert.Equal(t, 1, w.service.Count("Delete"))
			})
		})
	}
}

// Nor is a refused login tried for each removal.
func TestRemoveWhileUnauthorized(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 50 {
			w.create(downloadtest.Plan{Zipping: time.Hour})
		}
		f := w.faults()
		f.set(download.ErrUnauthorized)
		before := len(w.service.Calls(""))
		for _, d := range w.Downloads() {
			require.NoError(t, w.Remove(d))
		}
		later(10 * time.Minute)
		assert.LessOrEqual(t, len(w.service.Calls(""))-before, 16)
		f.set(nil)
		later(11 * time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
	})
}

// While somebody reads, the server's copy stays.
func TestRemoveWaitsForHandles(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
		a, err := w.OpenArchive(d)
		require.NoError(t, err)
		b, err := w.OpenArchive(d)
		require.NoError(t, err)
		require.NoError(t, w.Remove(d))
		later(time.Hour)
		assert.Zero(t, w.service.Count("Delete"))
		want, _ := w.service.Content(d.ID())
		got := make([]byte, len(want))
		_, err = a.ReadAt(t.Context(), got, 0)
		require.NoError(t, err, "it keeps working")
		assert.Equal(t, want, got)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "twice is once")
		later(time.Hour)
		assert.Zero(t, w.service.Count("Delete"), "the other is open still")
		require.NoError(t, b.Close())
		later(time.Second)
		assert.Equal(t, 1, w.service.Count("Delete"))
		assert.Zero(t, w.archives.OpenHandles())
	})
}

func TestRemoveRacesWithTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(time.Second)
		d := w.create(downloadtest.Plan{Zipping: 1500 * time.Millisecond})
		done := wait(d)
		later(time.Second) // a poll is on its way
		require.NoError(t, w.Remove(d))
		require.ErrorIs(t, <-done, download.ErrCancelled)
		later(time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
		w.reopen()
		assert.Empty(t, w.Downloads(), "the poll did not bring it back")
	})
}

func TestRemoveManyAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 100 {
			w.create(downloadtest.Plan{Zipping: time.Hour})
		}
		errs := make(chan error)
		all := w.Downloads()
		for _, d := range all {
			go func() { errs <- w.Remove(d) }()
			go func() { errs <- w.Remove(d) }()
		}
		removed := 0
		for range 2 * len(all) {
			if err := <-errs; err == nil {
				removed++
			} else {
				assert.ErrorIs(t, err, download.ErrNotFound)
			}
		}
		assert.Equal(t, len(all), removed)
		later(time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
		assert.Equal(t, len(all), w.service.Count("Delete"))
		assert.LessOrEqual(t, w.service.Peak(), 8)
	})
}

func TestDiscardCancels(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, Bytes: 6000, CancelAfter: 10 * time.Second})
		later(10 * time.Second)
		done := wait(d)
		began := time.Now()
		require.NoError(t, w.Discard(d))
		require.ErrorIs(t, <-done, download.ErrCancelled)
		assert.Zero(t, time.Since(began), "at once")
		s := d.Snapshot()
		assert.Equal(t, download.StatusCancelled, s.Status)
		assert.ErrorIs(t, s.Err, download.ErrCancelled)
		assert.False(t, s.Ready)
		_, err := w.OpenArchive(d)
		require.ErrorIs(t, err, download.ErrCancelled)
		require.NoError(t, w.Discard(d), "again does nothing")

		later(time.Minute)
		assert.Equal(t, 1, w.service.Count("Cancel"))
		assert.Zero(t, w.service.Count("Delete"), "the node stays until the entry goes")
		assert.EqualValues(t, 2000, d.Snapshot().BytesAdded, "the counters that the server reached")
		polls := w.service.Count("Get")
		later(time.Hour)
		assert.Equal(t, polls, w.service.Count("Get"), "it is not asked for any more")

		w.reopen()
		d = w.find(d.ID())
		assert.Equal(t, download.StatusCancelled, d.Snapshot().Status)
		assert.EqualValues(t, 2000, d.Snapshot().BytesAdded)
		later(time.Hour)
		assert.Equal(t, 1, w.service.Count("Cancel"))

		require.NoError(t, w.Remove(d))
		later(time.Minute)
		assert.Empty(t, w.service.DownloadIDs())
		assert.Equal(t, 1, w.service.Count("Cancel"), "the server said that it has ended")
	})
}

// The server may be faster than the cancelling: CANCELLED it stays.
func TestDiscardIsSticky(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Prefetch = true
		w.reopen()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Second, Bytes: 5000, CancelAfter: time.Hour})
		later(5 * time.Second)
		require.NoError(t, w.Discard(d))
		later(time.Minute)
		p, _ := w.service.Has(d.ID())
		assert.Equal(t, download.StatusDone, p.Status)
		s := d.Snapshot()
		assert.Equal(t, download.StatusCancelled, s.Status)
		assert.EqualValues(t, 5000, s.BytesAdded)
		assert.False(t, s.Ready)
		assert.Empty(t, w.archives.Prefetched())
		w.reopen()
		assert.Equal(t, download.StatusCancelled, w.find(d.ID()).Snapshot().Status)
	})
}

// Cancelled while the server is away, and told after a restart.
func TestDiscardSurvivesRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
		f := w.faults()
		f.set(download.ErrUnavailable)
		require.NoError(t, w.Discard(d))
		later(time.Minute)
		w.reopen()
		assert.Equal(t, download.StatusCancelled, w.find(d.ID()).Snapshot().Status)
		f.set(nil)
		later(time.Minute)
		p, _ := w.service.Has(d.ID())
		assert.Equal(t, download.StatusCancelled, p.Status)
		cancels := w.service.Count("Cancel")
		w.reopen()
		later(time.Hour)
		assert.Equal(t, cancels, w.service.Count("Cancel"))
	})
}

// Discarded and then removed before the server was told of either.
func TestDiscardThenRemove(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
			f := w.faults()
			f.set(download.ErrUnavailable)
			require.NoError(t, w.Discard(d))
			if restart {
				w.reopen()
				d = w.find(d.ID())
			}
			require.NoError(t, w.Remove(d))
			later(time.Minute)
			if restart {
				w.reopen()
			}
			f.set(nil)
			later(2 * time.Minute)
			assert.Empty(t, w.service.DownloadIDs())
			assert.Empty(t, w.Downloads())
		})
	}
}

// rm -r: unlink of the archive and rmdir follow each other at once, while the
// cancelling is on its way.
func TestDiscardThenRemoveAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(100 * time.Millisecond)
		d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour, CancelAfter: time.Second})
		require.NoError(t, w.Discard(d))
		later(50 * time.Millisecond)
		require.NoError(t, w.Remove(d))
		later(5 * time.Second)
		assert.Empty(t, w.service.DownloadIDs())
		assert.Equal(t, 1, w.service.Count("Delete"))
		deletes := w.service.Calls("Delete")
		created := w.service.Calls("Create")
		assert.Greater(t, deletes[0].At.Sub(created[0].At), time.Second, "after it has ended")
		w.reopen()
		calls := len(w.service.Calls(""))
		later(time.Hour)
		assert.Len(t, w.service.Calls(""), calls)
	})
}

// Unlinking a finished archive drops the local copy; the entry and the server's
// copy stay, and it is not fetched again unasked.
func TestDiscardOfDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Prefetch = true
		w.reopen()
		d := w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, []download.ID{d.ID()}, w.archives.Prefetched())
		require.NoError(t, w.Discard(d))
		assert.Equal(t, []download.ID{d.ID()}, w.archives.Dropped())
		later(time.Hour)
		w.reopen()
		later(time.Hour)
		assert.Len(t, w.archives.Prefetched(), 1)
		assert.Zero(t, w.service.Count("Cancel")+w.service.Count("Delete"))
		d = w.find(d.ID())
		require.NoError(t, d.Wait(t.Context()))
		a, err := w.OpenArchive(d)
		require.NoError(t, err, "it can be read from the server")
		require.NoError(t, a.Close())
	})
}

func TestRename(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		other := w.create(downloadtest.Plan{Zipping: time.Hour})
		require.NoError(t, w.Rename(d, "q3 report, final #2"))
		assert.Equal(t, "q3 report, final #2", d.Snapshot().Name)
		got, ok := w.Lookup("q3 report, final #2")
		assert.True(t, ok)
		assert.Same(t, d, got)
		_, ok = w.Lookup(string(d.ID()))
		assert.False(t, ok, "it is called otherwise now")

		require.ErrorIs(t, w.Rename(other, "q3 report, final #2"), download.ErrExists)
		require.ErrorIs(t, w.Rename(d, string(other.ID())), download.ErrInvalid)
		require.ErrorIs(t, w.Rename(other, string(d.ID())), download.ErrInvalid, "even while it is called otherwise")
		require.NoError(t, w.Rename(d, "q3 report, final #2"), "its own name")

		w.reopen()
		d, ok = w.Lookup("q3 report, final #2")
		require.True(t, ok)
		require.NoError(t, w.Rename(d, "again"))
		_, ok = w.Lookup("q3 report, final #2")
		assert.False(t, ok)
		require.NoError(t, w.Rename(w.find(other.ID()), "q3 report, final #2"), "the name is free")
		require.NoError(t, w.Rename(d, string(d.ID())))
		assert.Equal(t, string(d.ID()), d.Snapshot().Name)
		w.reopen()
		assert.Equal(t, string(d.ID()), w.find(d.ID()).Snapshot().Name)

		require.NoError(t, w.Remove(w.find(d.ID())))
		removed := w.Downloads()[0]
		require.NoError(t, w.Remove(removed))
		_, ok = w.Lookup("q3 report, final #2")
		assert.False(t, ok)
	})
}

func TestRenameAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		errs := make(chan error)
		for range 20 {
			d := w.create(downloadtest.Plan{Zipping: time.Hour})
			go func() { errs <- w.Rename(d, "wanted") }()
		}
		ok := 0
		for range 20 {
			if err := <-errs; err == nil {
				ok++
			} else {
				assert.ErrorIs(t, err, download.ErrExists)
			}
		}
		assert.Equal(t, 1, ok)
	})
}

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
