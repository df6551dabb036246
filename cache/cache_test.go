package cache

import (
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

func TestReadSequentially(t *testing.T) {
	for _, size := range []int64{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, 5*BlockSize + 17, 40 * BlockSize} {
		src := &fakeSource{}
		c := openCache(t, t.TempDir(), src)
		a := info("seq", size)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, size)
		readAll(t, h, a, 0, size)
		require.Eventually(t, func() bool { return c.Complete(a.ID) }, 5*time.Second, time.Millisecond)
		require.Equal(t, size, c.Cached(a.ID))
		require.NoError(t, h.Close())
		require.NoError(t, c.Close())
		total, twice := src.bytes(a.ID)
		require.Equal(t, size, total)
		require.Zero(t, twice)
		t.Logf("size %d: %d requests", size, src.count())
	}
}

// Proves S-39.
func TestReopenedCacheFetchesNothing(t *testing.T) {
	dir := t.TempDir()
	src := &fakeSource{}
	a := info("again", 9*BlockSize+5)
	c := openCache(t, dir, src)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())

	before := src.count()
	c = openCache(t, dir, src)
	require.True(t, c.Complete(a.ID))
	h = openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	f, ok := h.File(0, a.Size)
	require.True(t, ok)
	got := make([]byte, 100)
	_, err := f.ReadAt(got, 12345)
	require.NoError(t, err)
	require.Equal(t, content(a.ID, 12345, 100), got)
	require.Equal(t, before, src.count())
}

// Proves S-35.
func TestLockedCache(t *testing.T) {
	dir := t.TempDir()
	openCache(t, dir, &fakeSource{})
	_, err := Open(Config{Dir: dir, Logger: testLog(t)})
	require.ErrorIs(t, err, download.ErrLocked)
}
