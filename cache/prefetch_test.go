package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// Proves S-46.
func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(50e6)}
		c := openCache(t, t.TempDir(), src)
		for i := range 5 {
			c.Prefetch(info(fmt.Sprintf("whole-%d", i), int64(i)*13*BlockSize+int64(i)))
		}
		c.Prefetch(info("whole-4", 4*13*BlockSize+4)) // asked for twice
		time.Sleep(time.Minute)
		for i := 1; i < 5; i++ {
			id := download.ID(fmt.Sprintf("whole-%d", i))
			require.True(t, c.Complete(id), id)
			total, twice := src.bytes(id)
			require.EqualValues(t, i*13*BlockSize+i, total)
			require.Zero(t, twice)
		}
		require.Equal(t, 4, src.count()) // one long stream each
		c.Prefetch(info("whole-4", 4*13*BlockSize+4))
		time.Sleep(time.Minute)
		require.Equal(t, 4, src.count())
	})
}

// TestPrefetchGivesWay: while a reader needs the network a background fetch
// stands still, and goes on afterwards.
// Proves S-46.
func TestPrefetchGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 10e6
		src := &fakeSource{pace: limitPerStream(rate)}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Streams = 1 })
		bg := info("background", 1000*BlockSize)
		c.Prefetch(bg)
		time.Sleep(10 * time.Second)
		require.Greater(t, c.Cached(bg.ID), int64(80*BlockSize))

		fg := info("foreground", 100*BlockSize)
		h := openArchive(t, c, fg)
		before := c.Cached(bg.ID)
		readAll(t, h, fg, 0, fg.Size)
		require.LessOrEqual(t, c.Cached(bg.ID)-before, int64(3*BlockSize))
		require.NoError(t, h.Close())
		time.Sleep(10 * time.Second)
		require.Greater(t, c.Cached(bg.ID)-before, int64(70*BlockSize))
	})
}

// TestReaderFollowsPrefetch: a reader of an archive that is being fetched shares
// the stream when it is near, and gets its own when it is far; nothing is
// fetched twice.
func TestReaderFollowsPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(20e6)}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Streams = 1 })
		a := info("followed", 200*BlockSize)
		c.Prefetch(a)
		time.Sleep(10 * time.Millisecond)
		h := openArchive(t, c, a)
		start := time.Now()
		readAll(t, h, a, 0, 50*BlockSize)
		require.InDelta(t, 50*BlockSize/20e6, time.Since(start).Seconds(), 0.3)
		require.Equal(t, 1, src.count())

		start = time.Now()
		readAll(t, h, a, 150*BlockSize, 150*BlockSize+100)
		require.Less(t, time.Since(start), 200*time.Millisecond)
		readAll(t, h, a, 0, a.Size)
		require.NoError(t, h.Close())
		time.Sleep(10 * time.Second)
		require.True(t, c.Complete(a.ID))
		total, twice := src.bytes(a.ID)
		require.Equal(t, a.Size, total)
		require.Zero(t, twice)
	})
}

// TestReaderOfPrefetchedArchiveIsFast: a reader that follows a background fetch
// gets as many streams as any other.
func TestReaderOfPrefetchedArchiveIsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 20e6, 512 << 20
		src := &fakeSource{pace: limitPerStream(rate)}
		c := openCache(t, t.TempDir(), src)
		c.Prefetch(info("both", size))
		time.Sleep(100 * time.Millisecond)
		took := drain(t, c, "both", size)
		speed := float64(size) / took.Seconds() / rate
		t.Logf("%.2f times one connection, %d requests", speed, src.count())
		require.Greater(t, speed, 3.5)
		require.NoError(t, c.Close())
		total, twice := src.bytes("both")
		require.EqualValues(t, size, total)
		require.Zero(t, twice)
	})
}

// TestPrefetchEnds: Drop and Close end a background fetch.
// Proves S-46.
func TestPrefetchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(1e6)}
		c := openCache(t, t.TempDir(), src)
		for i := range 4 {
			c.Prefetch(info(fmt.Sprintf("ended-%d", i), 100*BlockSize))
		}
		time.Sleep(3 * time.Second)
		require.Equal(t, prefetchers, src.openBodies())
		for i := range 3 {
			require.NoError(t, c.Drop(download.ID(fmt.Sprintf("ended-%d", i))))
		}
		time.Sleep(3 * time.Second)
		require.Equal(t, 1, src.openBodies())
		require.Zero(t, c.Cached("ended-0"))
		require.NotZero(t, c.Cached("ended-3"))
		c.Prefetch(info("ended-0", 100*BlockSize)) // wanted again after all
		time.Sleep(3 * time.Second)
		require.NotZero(t, c.Cached("ended-0"))
		require.NoError(t, c.Close())
		require.Zero(t, src.openBodies())
	})
}

// TestPrefetchSurvivesErrors: it goes on after failures, less and less often, and
// gives up what is gone.
func TestPrefetchSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		src := &fakeSource{pace: limitPerStream(10e6), hook: func(_ context.Context, q request) error {
			if q.id == "gone" {
				return download.ErrNotFound
			}
			if down.Load() {
				return download.ErrUnavailable
			}
			return nil
		}, cut: func(request) (int64, error) { return 5*BlockSize + 5, errBroken }}
		c := openCache(t, t.TempDir(), src)
		down.Store(true)
		a := info("patient", 30*BlockSize)
		c.Prefetch(a)
		c.Prefetch(info("gone", BlockSize))
		time.Sleep(10 * time.Minute)
		require.Less(t, src.count(), 25)
		down.Store(false)
		time.Sleep(2 * time.Minute)
		require.True(t, c.Complete(a.ID))
		total, twice := src.bytes(a.ID)
		require.Equal(t, a.Size, total)
		require.Zero(t, twice)
		require.Empty(t, c.prefetch.queue)
	})
}

// TestPrefetchOnlyWhatFits: an archive larger than the cache is not begun; one
// that turns out not to fit beside open ones is given up without harm.
// Proves S-46.
func TestPrefetchOnlyWhatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = 10 * BlockSize })
		c.Prefetch(info("large", 10*BlockSize))
		time.Sleep(time.Minute)
		require.Zero(t, src.count())

		open := info("open", 6*BlockSize)
		h := openArchive(t, c, open)
		readAll(t, h, open, 0, open.Size)
		c.Prefetch(info("beside", 8*BlockSize))
		time.Sleep(time.Minute)
		require.True(t, c.Complete(open.ID))
		require.False(t, c.Complete("beside"))
		require.LessOrEqual(t, src.count(), 8)
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		require.Zero(t, c.pool.lent)
	})
}
