package download_test

import (
	"testing"
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
		{"expired", downloadtest.Plan{Zipping: time.Hour}, true, 3, 0}, // is it really gone?
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
				later(25 * time.Second)
				_, there := w.service.Has(d.ID())
				assert.True(t, there)
				later(5 * time.Hour)
				_, there = w.service.Has(d.ID())
				assert.Equal(t, step != "Get", there, "whether the zip has ended is not asked for long")
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

// A removal that the server refuses for good is given up.
func TestRemoveIsGivenUp(t *testing.T) {
	for _, refusal := range []error{download.ErrInvalid, download.ErrNotFound} {
		t.Run(refusal.Error(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{})
				require.NoError(t, d.Wait(t.Context()))
				f := w.faults()
				f.op = "Delete"
				f.set(refusal)
				require.NoError(t, w.Remove(d))
				later(4 * time.Second)
				assert.Equal(t, 2, w.service.Count("Delete"))
				later(2 * time.Second)
				assert.Equal(t, 3, w.service.Count("Delete"), "said three times in five seconds, it is a fact")
				f.set(nil)
				w.reopen()
				later(time.Hour)
				assert.Equal(t, 3, w.service.Count("Delete"))
			})
		})
	}
}

// A 403 may come from a proxy that has a bad minute: the removal is retried for a day.
func TestRemoveIsRetriedWhenForbidden(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gone, refused := w.create(downloadtest.Plan{Zipping: time.Hour}), w.create(downloadtest.Plan{})
		require.NoError(t, refused.Wait(t.Context()))
		f := w.faults()
		f.set(download.ErrForbidden)
		require.NoError(t, w.Remove(gone))
		later(time.Minute)
		assert.LessOrEqual(t, w.service.Count("Cancel"), 7)
		f.set(nil)
		later(2 * time.Minute)
		assert.Equal(t, []download.ID{refused.ID()}, w.service.DownloadIDs())

		f.set(download.ErrForbidden)
		require.NoError(t, w.Remove(refused))
		later(23 * time.Hour)
		before := w.service.Count("Delete")
		assert.LessOrEqual(t, before, 40)
		later(3 * time.Hour)
		assert.Greater(t, w.service.Count("Delete"), before)
		before = w.service.Count("Delete")
		f.set(nil)
		later(24 * time.Hour)
		assert.Equal(t, before, w.service.Count("Delete"), "given up after a day")
		w.reopen()
		later(time.Hour)
		assert.Equal(t, before, w.service.Count("Delete"))
	})
}

// A refused login is not tried for each removal either.
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
		assert.LessOrEqual(t, len(w.service.Calls(""))-before, 20)
		f.set(nil)
		later(3 * time.Minute)
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
