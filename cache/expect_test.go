package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// TestExpected: what is expected comes in one request, which goes on while nobody
// waits, and it stays in memory for the pieces in which it is read.
func TestExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(100e6)}
		var logged logBuffer
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Logger = logged.logger() })
		a := info("expected", 40*BlockSize)
		h := openArchive(t, c, a)
		const off, n = 10*BlockSize + 500_000, 2 * BlockSize
		download.Expect(h, off, n)
		require.Zero(t, src.count())
		readAll(t, h, a, off, off+30)
		time.Sleep(cursorPause / 2) // the rest comes, and is written to disk
		ar := c.lookup(a.ID)
		for b := blockOf(off); b <= blockOf(off+n-1); b++ {
			require.Equal(t, blockWritten, ar.is(b), "block %d", b)
		}
		f, err := ar.open(false)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(0))
		require.NoError(t, f.Truncate(a.Size))
		readAll(t, h, a, off, off+n)
		require.Equal(t, 1, src.count())
		require.NotContains(t, logged.String(), "damaged")
	})
}

// TestExpectedOutside: what is not in the archive, or not open, is not expected.
func TestExpectedOutside(t *testing.T) {
	src := &fakeSource{}
	c := openCache(t, t.TempDir(), src)
	a := info("expected", 10*BlockSize)
	h := openArchive(t, c, a)
	ar := c.lookup(a.ID)
	cursors := func() int {
		ar.mu.Lock()
		defer ar.mu.Unlock()
		return len(ar.cursors)
	}
	for off, n := range map[int64]int64{-1: 10, a.Size: 1, 1 << 62: 1 << 62, 5: 0, 6: -1} {
		download.Expect(h, off, n)
	}
	require.Zero(t, cursors())
	download.Expect(h, a.Size-10, 1<<62)
	readAll(t, h, a, a.Size-10, a.Size)
	require.NoError(t, h.Close())
	download.Expect(h, 0, 10)
	require.Zero(t, cursors())
}
