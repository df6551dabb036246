package download_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// adoptMany lists n downloads that are pending for ever.
func (w *world) adoptMany(n int) {
	w.t.Helper()
	var wg sync.WaitGroup
	for range n {
		id := w.service.AddDownload(downloadtest.Plan{Pending: 1000 * time.Hour})
		wg.Go(func() {
			_, err := w.Adopt(context.Background(), id)
			assert.NoError(w.t, err)
		})
	}
	wg.Wait()
}

// perSecond returns the most requests in any second of the last minutes, and
// the mean.
func perSecond(calls []downloadtest.Call, since time.Time) (most int, mean float64) {
	var at []time.Time
	for _, c := range calls {
		if c.At.After(since) {
			at = append(at, c.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for i, j := 0, 0; i < len(at); i++ {
		for at[i].Sub(at[j]) >= time.Second {
			j++
		}
		most = max(most, i-j+1)
	}
	return most, float64(len(at)) / time.Since(since).Seconds()
}

// 10,000 pending downloads make no more than 60 requests a second, with waiters
// or without, and need little memory and no goroutines.
func TestTenThousandPending(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w.adoptMany(tenThousand)
		w.reopen() // as after a remount: all are due at once
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("%d bytes of heap for each, the fake server's part included", heap/tenThousand)
		assert.Less(t, heap, int64(60<<20))
		assert.Less(t, runtime.NumGoroutine(), 50)

		since := time.Now()
		later(2 * time.Minute)
		most, mean := perSecond(w.service.Calls("Get"), since)
		t.Logf("nobody waits: %d a second at most, mean %.1f", most, mean)
		assert.LessOrEqual(t, most, 60)

		// A download among them that has a waiter is as quick as one alone.
		w.service.SetPlan(downloadtest.Plan{Zipping: 20 * time.Second, Bytes: 200 << 20, Step: 10 << 20})
		began := time.Now()
		d, err := w.Create(t.Context(), aList)
		require.NoError(t, err)
		require.NoError(t, d.Wait(t.Context()))
		assert.LessOrEqual(t, time.Since(began), 20*time.Second+400*time.Millisecond)
	})
}

// 10,000 downloads make no more requests than that when the server's cleaner takes all
// of them away.
func TestTenThousandExpire(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		w.adoptMany(tenThousand)
		later(time.Minute)
		for _, id := range w.service.DownloadIDs() {
			w.service.Expire(id)
		}
		since := time.Now()
		later(15 * time.Minute) // each is asked for three times
		most, mean := perSecond(w.service.Calls(""), since)
		t.Logf("%d a second at most, mean %.1f", most, mean)
		assert.LessOrEqual(t, most, 60)
		for _, d := range w.Downloads() {
			require.Equal(t, download.StatusExpired, d.Snapshot().Status)
		}
	})
}

// 1,000 pending downloads with 2,000 blocked readers.
func TestThousandsOfWaiters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		w.adoptMany(1000)
		done := make(chan error, 2000)
		ctx, cancel := context.WithCancel(context.Background())
		for i, d := range slices.Concat(w.Downloads(), w.Downloads()) {
			if i%2 == 0 {
				go func() { done <- d.Wait(ctx) }()
			} else {
				go func() { done <- d.Wait(context.Background()) }()
			}
		}
		later(30 * time.Second) // what was saved up is used up
		since := time.Now()
		later(2 * time.Minute)
		most, mean := perSecond(w.service.Calls("Get"), since)
		t.Logf("%d a second at most, mean %.1f", most, mean)
		assert.LessOrEqual(t, most, 260)
		cancel()
		for range 1000 {
			require.ErrorIs(t, <-done, context.Canceled)
		}
		synctest.Wait()
		assert.Empty(t, done)
		for _, d := range w.Downloads() {
			require.NoError(t, w.Remove(d))
		}
		for range 1000 {
			require.ErrorIs(t, <-done, download.ErrCancelled)
		}
	})
}

// 500 downloads with a waiter each end at the same moment. Nobody waits much longer
// than a waiter alone would.
func TestRushOfWaiters(t *testing.T) {
	for _, zipping := range []time.Duration{200 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		inWorld(t, func(t *testing.T, w *world) {
			w.config.Logger = nil
			w.reopen()
			w.service.SetLatency(5 * time.Millisecond)
			w.service.SetPlan(downloadtest.Plan{Zipping: zipping, Bytes: 300 << 20, Step: 10 << 20})
			began := time.Now()
			done := make(chan time.Duration, 500)
			for range cap(done) {
				go func() {
					d, err := w.Create(context.Background(), aList)
					if assert.NoError(t, err) {
						assert.NoError(t, d.Wait(context.Background()))
					}
					done <- time.Since(began)
				}()
			}
			var took []time.Duration
			for range cap(done) {
				took = append(took, <-done-zipping)
			}
			sortDurations(took)
			t.Logf("%v: median %v, last %v, %d polls", zipping, took[len(took)/2], took[len(took)-1], w.service.Count("Get"))
			assert.LessOrEqual(t, took[len(took)-1], 3*time.Second)
		})
	}
}

// removeAll removes all downloads but d, as rm -r does, from some processes at
// once, and returns when the server has done it.
func (w *world) removeAll(but *download.Download) (took time.Duration) {
	w.t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	work := make(chan *download.Download)
	for range 100 {
		wg.Go(func() {
			for d := range work {
				assert.NoError(w.t, w.Remove(d))
			}
		})
	}
	for _, d := range w.Downloads() {
		if d != but {
			work <- d
		}
	}
	close(work)
	wg.Wait()
	left := 0
	if but != nil {
		left = 1
	}
	for len(w.service.DownloadIDs()) > left {
		later(100 * time.Millisecond)
		require.Less(w.t, time.Since(began), time.Hour)
	}
	return time.Since(began)
}

// Waiters do not notice that 10,000 running downloads are being removed.
func TestWaiterDuringRemovalOfThousands(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		w.adoptMany(tenThousand)
		later(time.Minute)
		w.service.SetLatency(20 * time.Millisecond)
		d := w.create(downloadtest.Plan{Zipping: 40 * time.Second, Bytes: 200 << 20, Step: 10 << 20})
		began := time.Now()
		done := make(chan time.Duration, 1)
		go func() {
			assert.NoError(t, d.Wait(context.Background()))
			done <- time.Since(began)
		}()
		took := w.removeAll(d)
		waited := <-done
		var last time.Time
		var most time.Duration
		for _, c := range w.service.Calls("Get") {
			if c.ID == d.ID() {
				if !last.IsZero() {
					most = max(most, c.At.Sub(last))
				}
				last = c.At
			}
		}
		t.Logf("removed in %v by %d requests; the longest between two polls of the waiter: %v; told %v after DONE", took,
			w.service.Count("Cancel")+w.service.Count("Get")+w.service.Count("Delete"), most, waited-40*time.Second)
		assert.LessOrEqual(t, most, 2200*time.Millisecond)
		assert.LessOrEqual(t, waited, 40*time.Second+2200*time.Millisecond)
		assert.Less(t, took, 4*time.Minute)
	})
}

// The server's speed of deleting determines how soon many are removed.
func TestRemovalOfThousandsDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Logger = nil
		w.reopen()
		w.adoptMany(tenThousand)
		for _, id := range w.service.DownloadIDs() {
			w.service.Replan(id, downloadtest.Plan{})
		}
		later(10 * time.Minute)
		for _, d := range w.Downloads() {
			require.Equal(t, download.StatusDone, d.Snapshot().Status)
		}
		w.service.SetLatency(20 * time.Millisecond)
		before := len(w.service.Calls(""))
		took := w.removeAll(nil)
		t.Logf("removed in %v by %d requests", took, len(w.service.Calls(""))-before)
		assert.Less(t, took, 2*time.Minute)
	})
}
