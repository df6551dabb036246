package cache

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// drain reads the whole archive as a kernel does, without looking at the bytes,
// and returns how long that took.
func drain(t *testing.T, c *Cache, id string, size int64) time.Duration {
	t.Helper()
	h, err := c.Open(info(id, size))
	require.NoError(t, err)
	defer h.Close()
	start := time.Now()
	p := make([]byte, 128<<10)
	for off := int64(0); off < size; off += int64(len(p)) {
		_, err := h.ReadAt(t.Context(), p, off)
		if err != io.EOF {
			require.NoError(t, err)
		}
	}
	return time.Since(start)
}

// TestParallelStreamsWhereEachIsSlow: a server that gives 20 MB/s per connection
// is read at nearly four times that.
// Proves S-47.
func TestParallelStreamsWhereEachIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 20e6, 512 << 20
		src := &fakeSource{pace: limitPerStream(rate), seed: nil}
		c := openCache(t, t.TempDir(), src)
		took := drain(t, c, "slow-1", size)
		speed := float64(size) / took.Seconds() / rate
		t.Logf("%.2f times one connection, %d requests", speed, src.count())
		require.Greater(t, speed, 3.7)
		require.Less(t, src.count(), 60)

		// What was learnt holds for the next archive.
		took = drain(t, c, "slow-2", size)
		t.Logf("%.2f times one connection", float64(size)/took.Seconds()/rate)
		require.Greater(t, float64(size)/took.Seconds()/rate, 3.7)
		require.NoError(t, c.Close())
		for _, id := range []string{"slow-1", "slow-2"} {
			total, twice := src.bytes(info(id, size).ID)
			require.EqualValues(t, size, total)
			require.Zero(t, twice)
		}
	})
}

// TestParallelStreamsInMemory: the same without a disk.
func TestParallelStreamsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 20e6, 256 << 20
		src := &fakeSource{pace: limitPerStream(rate)}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = 1 })
		took := drain(t, c, "slow", size)
		speed := float64(size) / took.Seconds() / rate
		t.Logf("%.2f times one connection, %d requests", speed, src.count())
		require.Greater(t, speed, 3.3)
	})
}

// link is a line that all streams share.
type link struct {
	mu   sync.Mutex
	rate float64
	free time.Time // when it can carry the next bytes
}

func (l *link) pace(ctx context.Context, _ request, n int) (int, error) {
	n = min(n, 64<<10)
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * 1e9))
	wait := l.free.Sub(now)
	l.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestStreamsAreGivenUp: streams that have ceased to raise the throughput go.
// Proves S-47.
func TestStreamsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each, together := limitPerStream(20e6), &link{rate: 30e6}
		var shared atomic.Bool
		src := &fakeSource{pace: func(ctx context.Context, r request, n int) (int, error) {
			if shared.Load() {
				return together.pace(ctx, r, n)
			}
			return each(ctx, r, n)
		}}
		c := openCache(t, t.TempDir(), src)
		drain(t, c, "each", 256<<20)
		require.Equal(t, 4, c.lanes.allowed())
		shared.Store(true)
		for read := 0; read < 2048 && c.lanes.allowed() > 1; read += 128 {
			drain(t, c, "together", 128<<20)
			require.NoError(t, c.Drop("together"))
		}
		require.Equal(t, 1, c.lanes.allowed())
	})
}

// TestLanesOnABusyMachine: a rate that goes up and down by itself, as on a machine
// with other work, rarely passes for the doing of another stream, and not for long.
func TestLanesOnABusyMachine(t *testing.T) {
	r := random(t)
	more := 0
	now := time.Now()
	l := lanes{n: 1, max: 4}
	const epochs = 20_000
	for range epochs {
		now = now.Add(laneEpoch)
		l.judge(400e6*(0.6+0.8*r.Float64()), true, now)
		if l.n > 1 {
			more++
		}
	}
	t.Logf("more than one stream for %.1f%% of the time", 100*float64(more)/epochs)
	require.Less(t, more, epochs/3)
}

// TestOneStreamWhereTheNetworkIsNotTheLimit: more streams are tried only where readers wait
// for a stream, and the stream for the network. A program that copies many files, or a
// busy machine, is slow by itself.
// Proves S-47.
func TestOneStreamWhereTheNetworkIsNotTheLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		waited time.Duration // by the stream, of 50 ms
		wanted bool          // by a reader
		lanes  int
	}{
		{"the network", 45 * time.Millisecond, true, 4},
		{"the reader", 45 * time.Millisecond, false, 1},
		{"the processors", 5 * time.Millisecond, true, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, s := lanes{n: 1, max: 4, running: 1}, &stream{}
			for range 4 * laneEpoch / (50 * time.Millisecond) {
				time.Sleep(50 * time.Millisecond)
				l.note(BlockSize, c.waited, c.wanted, s)
			}
			require.Equal(t, c.lanes, l.allowed(), c.name)
		})
	}
}

// TestOneStreamWhereTheLinkIsTheLimit: more streams are tried, found useless and
// given up, at no cost.
// Proves S-47.
func TestOneStreamWhereTheLinkIsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 100e6, 512 << 20
		l := &link{rate: rate}
		src := &fakeSource{pace: l.pace}
		c := openCache(t, t.TempDir(), src)
		took := drain(t, c, "link", size)
		share := float64(size) / took.Seconds() / rate
		t.Logf("%.3f of the link, %d requests", share, src.count())
		require.Greater(t, share, 0.97)
		require.Equal(t, 1, c.lanes.allowed())
		require.Less(t, src.count(), 16)
	})
}
