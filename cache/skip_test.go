package cache

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// skippingSource reads to get to an offset, at the same rate as it delivers. It
// counts those bytes too.
type skippingSource struct {
	*fakeSource
	mu   sync.Mutex
	read int64
}

func newSkippingSource(rate int64) *skippingSource {
	s := &skippingSource{fakeSource: &fakeSource{pace: limitPerStream(rate)}}
	s.hook = func(ctx context.Context, r request) error {
		s.mu.Lock()
		s.read += r.off
		s.mu.Unlock()
		t := time.NewTimer(time.Duration(float64(r.off) / float64(rate) * 1e9))
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s
}

// skipped returns how many bytes were read to get to offsets.
func (s *skippingSource) skipped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// TestServerThatReadsToSkip: where an offset costs as much as reading up to it,
// archives are read in one go, and what lies on the way is kept.
func TestServerThatReadsToSkip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 50e6, 400 * BlockSize
		src := newSkippingSource(rate)
		c := openCache(t, t.TempDir(), src)
		took := drain(t, c, "first", size)
		t.Logf("first: %v, %d requests, %d MiB skipped", took, src.count(), src.skipped()>>20)
		require.Less(t, took.Seconds(), 2.0*size/rate) // it has to be learnt
		require.Less(t, src.skipped(), int64(2*size))

		before, skipped := src.count(), src.skipped()
		took = drain(t, c, "second", size)
		t.Logf("second: %v, %d requests, %d MiB skipped", took, src.count()-before, (src.skipped()-skipped)>>20)
		require.Less(t, took.Seconds(), 1.05*size/rate)
		require.LessOrEqual(t, src.count()-before, 2)
		require.Less(t, src.skipped()-skipped, int64(2*BlockSize))

		// A zip reader: the end, the directory, then a file in the middle.
		before, skipped = src.count(), src.skipped()
		a := info("third", size)
		h := openArchive(t, c, a)
		for _, off := range []int64{size - 65536, size - 5*BlockSize, size / 2, 10 * BlockSize} {
			readAll(t, h, a, off, off+65536)
		}
		t.Logf("third: %d requests, %d MiB skipped", src.count()-before, (src.skipped()-skipped)>>20)
		require.LessOrEqual(t, src.count()-before, 2)
		require.NoError(t, h.Close())
	})
}

// TestSlowServerIsNotTakenForOneThatSkips: an opening that is slow whatever its
// offset does not change how archives are read.
func TestSlowServerIsNotTakenForOneThatSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(20e6), hook: func(ctx context.Context, _ request) error {
			time.Sleep(400 * time.Millisecond)
			return ctx.Err()
		}}
		c := openCache(t, t.TempDir(), src)
		drain(t, c, "slow", 200*BlockSize)
		require.False(t, c.skips.dear())
		a := download.ArchiveInfo{ID: "seek", Size: 200 * BlockSize}
		h := openArchive(t, c, a)
		start := time.Now()
		readAll(t, h, a, 100*BlockSize, 100*BlockSize+1000)
		require.Less(t, time.Since(start), time.Second)
	})
}
