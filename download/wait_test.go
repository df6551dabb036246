package download_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
			download.ErrTooLarge, "3000 bytes, which is over the server's limit of 2000"},
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
					assert.Less(t, time.Since(began), 2200*time.Millisecond)
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

// 2,000 waiters cost no request more than one, and all are released at once.
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

		// When it has left, it is slow again.
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

// DONE is only said when the archive's size is known.
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

func TestStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 2 * time.Minute, FailAfter: 30 * time.Second})
		began := time.Now()
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrStalled)
		assert.Contains(t, err.Error(), "10m0s")
		assert.InDelta(t, 630, time.Since(began).Seconds(), 35, "10 minutes after the last progress")
		s := d.Snapshot()
		assert.ErrorIs(t, s.Err, download.ErrStalled)
		assert.Equal(t, download.StatusInProgress, s.Status)
		assert.NotContains(t, s.Err.Error(), "\n")

		// It is polled slowly from now on.
		before := w.service.Count("Get")
		later(time.Hour)
		assert.InDelta(t, 60, w.service.Count("Get")-before, 10)

		// A new waiter has it asked for once more, and does not wait long.
		before = w.service.Count("Get")
		began = time.Now()
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrStalled)
		assert.Less(t, time.Since(began), time.Second)
		assert.Equal(t, 1, w.service.Count("Get")-before)

		// Many waiters share that poll.
		before = w.service.Count("Get")
		done := make(chan error)
		for range 100 {
			go func() { done <- d.Wait(context.Background()) }()
		}
		for range 100 {
			require.ErrorIs(t, <-done, download.ErrStalled)
		}
		assert.LessOrEqual(t, w.service.Count("Get")-before, 2)

		// When it moves again, that is over.
		w.service.Replan(d.ID(), downloadtest.Plan{Zipping: time.Minute})
		require.NoError(t, d.Wait(t.Context()))
		assert.NoError(t, d.Snapshot().Err)
	})
}

// A stall is seen by the poller alone as well, and recovers without a waiter.
func TestStallWithoutWaiters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Minute, FailAfter: time.Second})
		later(12 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
		w.service.Replan(d.ID(), downloadtest.Plan{Zipping: time.Second})
		later(2 * time.Minute)
		s := d.Snapshot()
		assert.NoError(t, s.Err)
		assert.Equal(t, download.StatusDone, s.Status)
	})
}

func TestStallTimeoutIsConfigured(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		stalls  bool
	}{{time.Minute, true}, {-1, false}, {20 * time.Hour, false}} {
		t.Run(test.timeout.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.config.StallTimeout = test.timeout
				w.reopen()
				d := w.create(downloadtest.Plan{Zipping: time.Hour, FailAfter: time.Second})
				done := wait(d)
				later(3 * time.Hour)
				assert.Equal(t, !test.stalls, waiting(done))
				require.NoError(t, w.Remove(d))
				<-done
			})
		})
	}
}

// Only time in which the server answers counts: neither an outage, nor a
// suspended machine, nor a request that hangs is a stall.
func TestOutageIsNoStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Hour, FailAfter: time.Second})
		later(8 * time.Minute)
		f.set(download.ErrUnavailable)
		later(5 * time.Hour)
		f.set(nil)
		later(70 * time.Second) // until the slow poll finds it back
		assert.NoError(t, d.Snapshot().Err, "8 minutes and a little")
		later(3 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
	})
}

func TestSuspendIsNoStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Hour, FailAfter: time.Second})
		var asleep atomic.Bool
		w.service.Intercept(func(context.Context, string, download.ID) error {
			if asleep.CompareAndSwap(true, false) {
				time.Sleep(5 * time.Hour) // and then the answer comes
			}
			return nil
		})
		later(5 * time.Minute)
		asleep.Store(true)
		later(5*time.Hour + 2*time.Minute)
		assert.NoError(t, d.Snapshot().Err)
		later(5 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
	})
}

// With 10,000 downloads each is polled so seldom that the server's answers to
// the others must count as well.
func TestStallAmongMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		var wg sync.WaitGroup
		for range 1500 {
			id := w.service.AddDownload(downloadtest.Plan{Zipping: 100 * time.Hour, Bytes: 1 << 40})
			wg.Go(func() {
				_, err := w.Adopt(t.Context(), id)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		d := w.create(downloadtest.Plan{Zipping: time.Hour, FailAfter: time.Second})
		later(13 * time.Minute)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrStalled)
		for _, other := range w.Downloads() {
			if other != d {
				assert.NoError(t, other.Snapshot().Err)
			}
		}
	})
}

func TestUnreachable(t *testing.T) {
	for _, kind := range []struct {
		name string
		err  error
		slow time.Duration
	}{
		{"refused", fmt.Errorf("get: connection refused: %w", download.ErrUnavailable), 0},
		{"no answer", fmt.Errorf("get: %w", context.DeadlineExceeded), time.Hour},
		{"slow 503", download.ErrUnavailable, 20 * time.Second},
		{"something else", errors.New("odd"), 0},
	} {
		t.Run(kind.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f := w.faults()
				f.slow = kind.slow
				d := w.create(downloadtest.Plan{Zipping: 24 * time.Hour})
				later(time.Minute)
				f.set(kind.err)
				began := time.Now()
				err := d.Wait(t.Context())
				require.ErrorIs(t, err, download.ErrUnavailable)
				assert.InDelta(t, 150, time.Since(began).Seconds(), 40, "2 minutes and what a request takes")
				assert.ErrorIs(t, d.Snapshot().Err, download.ErrUnavailable)
				assert.Equal(t, download.StatusInProgress, d.Snapshot().Status)

				// New waiters do not wait those minutes again.
				began = time.Now()
				require.ErrorIs(t, d.Wait(t.Context()), download.ErrUnavailable)
				assert.LessOrEqual(t, time.Since(began), 6*time.Second)

				// It goes on slowly, and recovers by itself.
				before := w.service.Count("Get")
				later(time.Hour)
				assert.LessOrEqual(t, w.service.Count("Get")-before, 70)
				assert.GreaterOrEqual(t, w.service.Count("Get")-before, 25)
				f.set(nil)
				later(2*time.Minute + f.slow)
				assert.NoError(t, d.Snapshot().Err)
			})
		})
	}
}

// A waiter that comes when the server is back gets it at once, though it was
// away for long.
func TestUnreachableWaiterFindsItBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 10 * time.Minute})
		f.set(download.ErrUnavailable)
		later(time.Hour)
		f.set(nil)
		began := time.Now()
		require.NoError(t, d.Wait(t.Context()))
		assert.Less(t, time.Since(began), 3*time.Second)
	})
}

// A short outage is not noticed by waiters at all.
func TestShortOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		done := wait(d)
		later(20 * time.Second)
		f.set(download.ErrUnavailable)
		later(90 * time.Second)
		assert.True(t, waiting(done))
		f.set(nil)
		require.NoError(t, <-done)
	})
}

// An outage is probed, not hammered, whatever the number of downloads; all
// waiters hear of it.
func TestOutageWithManyDownloads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		f.slow = time.Second
		var done []<-chan error
		for range 200 {
			done = append(done, wait(w.create(downloadtest.Plan{Zipping: 24 * time.Hour})))
		}
		later(time.Minute)
		f.set(download.ErrUnavailable)
		before := w.service.Count("Get")
		later(100 * time.Second)
		assert.Less(t, w.service.Count("Get")-before, 40)
		later(time.Minute)
		for _, d := range done {
			require.False(t, waiting(d))
			require.ErrorIs(t, <-d, download.ErrUnavailable)
		}
	})
}

// One download that the server cannot tell of does not make it unreachable for
// the others.
func TestOneDownloadFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bad := w.create(downloadtest.Plan{Zipping: time.Hour})
		good := w.create(downloadtest.Plan{Zipping: 5 * time.Minute})
		w.service.Intercept(func(_ context.Context, op string, id download.ID) error {
			if id == bad.ID() {
				return download.ErrUnavailable
			}
			return nil
		})
		badDone, goodDone := wait(bad), wait(good)
		began := time.Now()
		require.ErrorIs(t, <-badDone, download.ErrUnavailable)
		assert.InDelta(t, 120, time.Since(began).Seconds(), 12)
		require.NoError(t, <-goodDone)
	})
}

// A refused login is not tried again and again: accounts get locked.
func TestUnauthorized(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		var all []*download.Download
		for range 100 {
			all = append(all, w.create(downloadtest.Plan{Zipping: 24 * time.Hour}))
		}
		done := wait(all[0])
		later(time.Minute)
		f.set(fmt.Errorf("get: %w", download.ErrUnauthorized))
		before := len(w.service.Calls(""))
		require.ErrorIs(t, <-done, download.ErrUnauthorized)
		later(10 * time.Minute)
		for range 100 {
			for _, d := range all[:10] {
				began := time.Now()
				require.ErrorIs(t, d.Wait(t.Context()), download.ErrUnauthorized)
				require.Zero(t, time.Since(began), "nobody waits for what is known")
			}
		}
		later(50 * time.Minute)
		assert.LessOrEqual(t, len(w.service.Calls(""))-before, 20, "in an hour, 8 of them when it began")
		assert.ErrorIs(t, all[50].Snapshot().Err, download.ErrUnauthorized)

		// When it is accepted again, everything goes on.
		f.set(nil)
		later(11 * time.Minute)
		for _, d := range all {
			require.NoError(t, d.Snapshot().Err)
		}
	})
}

// A request of the user's that succeeds shows that the login works again.
func TestUnauthorizedEndsWithASuccess(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Minute})
		f.set(download.ErrUnauthorized)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrUnauthorized)
		f.set(nil)
		w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
	})
}

func TestForbidden(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 2 * time.Hour})
		f.set(download.ErrForbidden)
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrForbidden)
		before := w.service.Count("Get")
		later(time.Hour)
		assert.InDelta(t, 60, w.service.Count("Get")-before, 10)
		assert.ErrorIs(t, d.Snapshot().Err, download.ErrForbidden)
		f.set(nil)
		done := wait(d)
		later(time.Second)
		assert.True(t, waiting(done), "the fresh answer counts")
		require.NoError(t, <-done)
	})
}

// While a server starts up, the container in front of it answers 404 to
// everything: that is no proof that a download is gone.
func TestNotFoundIsConfirmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: 5 * time.Minute})
		f.set(download.ErrNotFound)
		done := wait(d)
		later(time.Minute)
		assert.True(t, waiting(done))
		f.set(nil)
		require.NoError(t, <-done)
	})
}

// What the server says is shown in one plain, short line.
func TestErrorsArePlain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.faults()
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		f.set(fmt.Errorf("bad\nnews\x1b[31m\x00%s: %w", strings.Repeat("x", 1<<20), download.ErrUnauthorized))
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
