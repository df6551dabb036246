package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadingLeavesLittleInThePageCache: who reads a cached archive in order leaves in the
// page cache of the data file only what is near the end, however it is read.
// Proves S-130.
func TestReadingLeavesLittleInThePageCache(t *testing.T) {
	if !canDirect {
		t.Skip("nothing is given up here")
	}
	c := openCache(t, t.TempDir(), &fakeSource{})
	a := info("whole", 96*BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, func() bool { return c.Complete(a.ID) && c.lookup(a.ID).good.Load() == 96 }, 20*time.Second, time.Millisecond)
	f, err := c.lookup(a.ID).open(false)
	require.NoError(t, err)
	resident := func() int64 {
		n, err := residentBytes(f, a.Size)
		require.NoError(t, err)
		return n
	}
	const piece = 128 << 10
	for _, read := range []func(p []byte, off int64){
		func(p []byte, off int64) {
			_, err := h.ReadAt(t.Context(), p, off)
			require.NoError(t, err)
		},
		func(p []byte, off int64) {
			f, ok := h.File(off, int64(len(p)))
			if !ok { // the block is still in memory
				return
			}
			_, err := f.ReadAt(p, off)
			require.NoError(t, err)
		},
	} {
		require.NoError(t, forgetPages(f))
		if resident() > 0 {
			t.Skip("the file system of the test's directory gives nothing up")
		}
		most, p := int64(0), make([]byte, piece)
		for off := int64(0); off < a.Size; off += piece {
			read(p, off)
			if off%(8*BlockSize) == 0 {
				most = max(most, resident())
			}
		}
		require.Positive(t, most)
		require.Less(t, most, int64(48*BlockSize), "of 96 MiB, with what the kernel reads ahead")
	}
	require.NoError(t, h.Close())
}
