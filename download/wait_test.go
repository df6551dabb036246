package download_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

func TestWaitForEachEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		plan downloadtest.Plan
		then func(w *world, d *download.Download) // after 3 s
		want error
		text string
	}{
		{"done", downloadtest.Plan{Zipping: 10 * time.Second}, nil, nil, ""},
		{"done at once", downloadtest.Plan{}, nil, nil, ""},
		{"too large", downloadtest.Plan{Pending: 5 * time.Second, Bytes: 3000, Limit: 2000}, nil,
			download.ErrTooLarge, "3000 bytes, which is over the server's size limit of 2000"},
		{"cancelled elsewhere", downloadtest.Plan{Zipping: time.Hour},
			func(w *world, d *download.Download) { assert.NoError(w.t, w.service.Cancel(w.t.Context(), d.ID())) },
			download.ErrCancelled, "cancelled"},
		{"deleted by the server", downloadtest.Plan{Zipping: time.Hour},
			func(w *world, d *download.Download) { w.service.Expire(d.ID()) }, download.ErrExpired, "deleted"},
		{"removed here", downloadtest.Plan{Zipping: time.Hour},
			func(w *world, d *download.Download) { assert.NoError(w.t, w.Remove(d)) }, download.ErrCancelled, "removed"},
		{"discarded here", downloadtest.Plan{Zipping: time.Hour},
			func(w *world, d *download.Download) { assert.NoError(w.t, w.Discard(d)) }, download.ErrCancelled, "cancelled"},
		{"closed", downloadtest.Plan{Zipping: time.Hour},
			func(w *world, d *download.Download) { assert.NoError(w.t, w.Close()) }, download.ErrClosed, "unmounted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.create(test.plan)
				done := wait(d)
				later(3 * time.Second)
				if test.then != nil {
					assert.True(t, waiting(done))
					began := time.Now()
					test.then(w, d)
					err := <-done
					limit := 2200 * time.Millisecond
					if test.want == download.ErrExpired {
						limit += 6 * time.Second // it is asked for more than once
					}
					assert.Less(t, time.Since(began), limit)
					require.ErrorIs(t, err, test.want)
					assert.Contains(t, err.Error(), test.text)
				} else if err := <-done; test.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, test.want)
					assert.Contains(t, err.Error(), test.text)
				}
				s := d.Snapshot()
				assert.Equal(t, test.want == nil, s.Ready)
				assert.ErrorIs(t, s.Err, test.want)
				// It stays so, for those who come later.
				assert.ErrorIs(t, d.Wait(t.Context()), test.want)
			})
		})
	}
}

// 2,000 waiters cost no more requests than one, and all are released at once.
func TestWaitManyShareThePolls(t *testing.T) {
	count := func(waiters int) (polls int) {
		inWorld(t, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{Zipping: 30 * time.Second, Bytes: 300 << 20, Step: 10 << 20})
			done := make(chan error, waiters)
			for i := range waiters {
				go func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					done <- d.Wait(context.Background())
				}()
			}
			for range waiters {
				require.NoError(t, <-done)
			}
			polls = w.service.Count("Get")
			assert.Equal(t, 1, w.service.Count("Archive"))
			assert.LessOrEqual(t, time.Since(d.Snapshot().CreatedAt), 32200*time.Millisecond)
		})
		return polls
	}
	alone := count(1)
	assert.LessOrEqual(t, alone, 30)
	assert.LessOrEqual(t, count(2000), 30)
}

func TestWaitIsSoonerThanNobodyWaiting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour, Bytes: 1 << 30, Step: 10 << 20})
		later(10 * time.Minute)
		before := w.service.Count("Get")
		later(time.Minute)
		idle := w.service.Count("Get") - before
		assert.InDelta(t, 6, idle, 1, "every 10 s")

		// A waiter brings the next poll forward.
		before = w.service.Count("Get")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error)
		go func() { done <- d.Wait(ctx) }()
		later(2 * time.Second)
		assert.Greater(t, w.service.Count("Get"), before)
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
		assert.InDelta(t, 33, w.service.Count("Get")-before, 16, "every 2 s or less")

		// After the waiter has left, polls are slow again.
		later(10 * time.Second)
		before = w.service.Count("Get")
		later(time.Minute)
		assert.InDelta(t, 6, w.service.Count("Get")-before, 1)
	})
}

// An interrupted wait loses nothing.
func TestWaitInterrupted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Wait(ctx) }()
		later(time.Second)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.Equal(t, time.Second, time.Since(d.Snapshot().CreatedAt).Truncate(time.Millisecond), "at once")
		require.NoError(t, d.Wait(t.Context()))
	})
}

// Looking at the status makes it move.
func TestLook(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour, Bytes: 3600e6})
		later(10 * time.Minute)
		last := d.Snapshot().BytesAdded
		for range 10 {
			d.Look()
			later(3 * time.Second)
			now := d.Snapshot().BytesAdded
			assert.Greater(t, now, last)
			last = now
		}
		before := w.service.Count("Get")
		later(time.Minute)
		assert.InDelta(t, 7, w.service.Count("Get")-before, 2)
	})
}

func TestSnapshotFollowsTheServer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Pending: 2 * time.Second, Zipping: 10 * time.Second, Bytes: 1000, Files: 10, Name: "r.pdf.zip"})
		s := d.Snapshot()
		assert.Equal(t, download.Progress{ID: d.ID(), Status: download.StatusPending}, s.Progress)
		assert.Equal(t, string(d.ID()), s.Name)
		assert.Zero(t, s.Archive)
		assert.False(t, s.Ready)
		done := wait(d)
		later(7500 * time.Millisecond)
		s = d.Snapshot()
		assert.Equal(t, download.StatusInProgress, s.Status)
		assert.InDelta(t, 500, s.BytesAdded, 200)
		assert.InDelta(t, 5, s.FilesAdded, 2)
		assert.EqualValues(t, 1000, s.TotalBytes)
		assert.Less(t, time.Since(s.ChangedAt), 2200*time.Millisecond)
		require.NoError(t, <-done)
		s = d.Snapshot()
		assert.Equal(t, download.Progress{ID: d.ID(), Status: download.StatusDone, BytesAdded: 1000, TotalBytes: 1000, FilesAdded: 10, TotalFiles: 10}, s.Progress)
		assert.Equal(t, "r.pdf.zip", s.Archive.Name)
		assert.Equal(t, d.ID(), s.Archive.ID)
		assert.Positive(t, s.Archive.Size)
	})
}

// DONE is only announced when the archive's size is known.
func TestDoneWaitsForTheSize(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		f.op = "Archive"
		f.set(download.ErrUnavailable)
		d := w.create(downloadtest.Plan{Zipping: time.Second})
		done := wait(d)
		later(10 * time.Second)
		assert.True(t, waiting(done))
		assert.Equal(t, download.StatusInProgress, d.Snapshot().Status)
		f.set(nil)
		require.NoError(t, <-done)
		s := d.Snapshot()
		assert.Equal(t, download.StatusDone, s.Status)
		assert.Positive(t, s.Archive.Size)

		// It is journaled with the size.
		w.reopen()
		again := w.find(d.ID()).Snapshot()
		assert.Equal(t, s.Archive.Size, again.Archive.Size)
		assert.True(t, again.Ready)
	})
}

// A download that ends between DONE and the question for its size has expired.
func TestDoneExpiresBeforeItsSize(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Second})
		w.service.Intercept(func(_ context.Context, op string, id download.ID) error {
			if op == "Archive" {
				w.service.Expire(id)
			}
			return nil
		})
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired)
	})
}

// The server's words are shown in one plain, short line.
func TestErrorsArePlain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		f.set(&told{download.ErrUnauthorized, "bad\nnews\x1b[31m\x00" + strings.Repeat("x", 1<<20)})
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrUnauthorized)
		assert.Contains(t, err.Error(), "bad news")
		assert.NotContains(t, err.Error(), "\x1b")
		assert.NotContains(t, err.Error(), "\n")
		assert.Less(t, len(err.Error()), 500)
		assert.Equal(t, err.Error(), d.Snapshot().Err.Error())
	})
}

// After DONE on the server a waiter goes on within 150 ms at the median and 2.2 s
// in any case.
func TestWaitLatency(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.service.SetLatency(5 * time.Millisecond)
		var lates []time.Duration
		for i := range 60 {
			took := 300*time.Millisecond + time.Duration(i)*170*time.Millisecond
			d := w.create(downloadtest.Plan{Zipping: took, Bytes: 200 << 20, Step: 10 << 20})
			require.NoError(t, d.Wait(t.Context()))
			lates = append(lates, time.Since(d.Snapshot().CreatedAt)-took)
		}
		synctest.Wait()
		sortDurations(lates)
		t.Logf("median %v, worst %v", lates[len(lates)/2], lates[len(lates)-1])
		assert.LessOrEqual(t, lates[len(lates)/2], 150*time.Millisecond)
		assert.LessOrEqual(t, lates[len(lates)-1], 2200*time.Millisecond)
	})
}
