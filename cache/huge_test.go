package cache

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How large an archive is comes from a server: the largest number there is costs
// neither memory nor time.
// Proves S-87.
func TestHugeArchives(t *testing.T) {
	for _, size := range []int64{maxBlocks*BlockSize + 1, 1 << 50, math.MaxInt64 - BlockSize, math.MaxInt64} {
		c := openCache(t, t.TempDir(), &fakeSource{})
		a := info("huge", size)
		began := time.Now()
		require.NotPanics(t, func() { c.Prefetch(a) })
		h := openArchive(t, c, a)
		for _, off := range []int64{0, size / 2, size - 3*BlockSize, size - 100} {
			readAll(t, h, a, off, 100)
		}
		require.Less(t, time.Since(began), 2*time.Second)
		require.NoError(t, h.Close())
		require.Zero(t, c.Cached(a.ID))
		require.NoError(t, c.Close())
	}
}
