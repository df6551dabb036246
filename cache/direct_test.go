package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStreamingLeavesThePageCacheAlone: an archive that is read from its beginning
// to its end hardly takes page cache, and is whole in the cache afterwards.
// Proves S-130.
func TestStreamingLeavesThePageCacheAlone(t *testing.T) {
	c := openCache(t, t.TempDir(), &fakeSource{pace: limitPerStream(200e6)}, func(cfg *Config) { cfg.Streams = 1 })
	if !canDirect {
		t.Skip("no way past the page cache here")
	}
	var resident int64
	for _, id := range []string{"streamed", "again", "and-again"} { // on a busy machine the disk may not keep up
		c.direct.until = time.Time{}
		a := info(id, 40*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		require.Eventually(t, func() bool { return c.Complete(a.ID) }, 20*time.Second, time.Millisecond)
		if c.direct.never.Load() {
			t.Skip("the file system of the test's directory has no way past the page cache")
		}
		f, err := c.lookup(a.ID).open(false)
		require.NoError(t, err)
		resident, err = residentBytes(f, a.Size)
		require.NoError(t, err)
		readAll(t, h, a, 0, a.Size)
		require.NoError(t, h.Close())
		if resident < a.Size/4 {
			return
		}
	}
	require.Less(t, resident, int64(10*BlockSize))
}

// TestSlowDisk: where the disk is slower than the source and readers wait, blocks are
// written through the page cache for a while.
// Proves S-130.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d direct
		require.Equal(t, canDirect, d.wanted())
		const slow, arrived = 2 * slowWrite, slowWrite
		for i := range 10 * heldUp {
			took := slow
			if i%3 != 0 { // a slow one now and then
				took = slowWrite / 2
			}
			d.wrote(took, arrived, true)
			d.wrote(slow, arrived, false) // nobody waits
			d.wrote(slow, 2*slow, true)   // the source is slower
			d.wrote(slowWrite/2, 0, true) // a fast disk, and a faster source
		}
		require.Equal(t, canDirect, d.wanted())
		for range heldUp {
			d.wrote(slow, arrived, true)
		}
		require.False(t, d.wanted())
		time.Sleep(directPause)
		require.Equal(t, canDirect, d.wanted())
		d.never.Store(true)
		require.False(t, d.wanted())
	})
}
