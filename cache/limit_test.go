package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// alone returns the directory of a cache on a file system that holds nothing else,
// the limit that leaves room for n blocks, and what tells the room that is taken.
func alone(t *testing.T, n int64) (dir string, limit int64, use func() (int64, error)) {
	mnt := mountTmpfs(t, "size=64m")
	empty, err := mountUse(mnt)
	require.NoError(t, err)
	return filepath.Join(mnt, "cache"), n*BlockSize + overhead + 64<<10 + empty, func() (int64, error) { return mountUse(mnt) }
}

// readWhole reads an archive and closes it.
func readWhole(t *testing.T, c *Cache, a download.ArchiveInfo) {
	t.Helper()
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
}

// awaitIdle waits until only the keeper has archives open.
func awaitIdle(t *testing.T, c *Cache) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for a := range c.active {
			if a.refs > a.held {
				return false
			}
		}
		return true
	}, 20*time.Second, time.Millisecond)
}

// TestLimitWhileSyncing: an archive that is evicted while it is synced takes no
// room any more, although the sync has its file open.
// Proves S-44.
func TestLimitWhileSyncing(t *testing.T) {
	dir, limit, use := alone(t, 6)
	syncing, goOn := make(chan struct{}, 100), make(chan struct{})
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) {
		cfg.Size, cfg.flushAfter = limit, time.Millisecond
		cfg.sync = func(f *os.File) error {
			syncing <- struct{}{}
			<-goOn
			return syncData(f)
		}
	})
	readWhole(t, c, info("old", 4*BlockSize))
	<-syncing
	awaitIdle(t, c)
	stop := watchLimit(t, limit, use)
	young := info("young", 5*BlockSize)
	readWhole(t, c, young)
	require.Eventually(t, func() bool { return c.Complete(young.ID) }, 5*time.Second, time.Millisecond)
	require.Zero(t, c.Cached("old"))
	require.NotZero(t, stop())
	close(goOn)
	require.NoError(t, c.Close())
}

// TestLimitDamagedBlocks: what a damaged block takes on the disk counts until it is
// given back, and only once when the block is fetched again.
// Proves S-44.
func TestLimitDamagedBlocks(t *testing.T) {
	dir, limit, use := alone(t, 6)
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.Size, cfg.flushAfter = limit, time.Millisecond })
	old := info("old", 4*BlockSize)
	h := openArchive(t, c, old)
	readAll(t, h, old, 0, old.Size)
	require.Eventually(t, func() bool { return c.Complete(old.ID) }, 5*time.Second, time.Millisecond)
	before := c.Usage().Used
	a := c.lookup(old.ID)
	f, err := a.open(false)
	require.NoError(t, err)
	for b := range a.n {
		_, err := f.WriteAt([]byte("spoilt"), blockOffset(b)+99)
		require.NoError(t, err)
	}
	res, err := c.Verify(t.Context())
	require.NoError(t, err)
	require.Len(t, res.Damaged, a.n)
	require.Zero(t, c.Cached(old.ID))

	stop := watchLimit(t, limit, use)
	readWhole(t, c, info("young", 5*BlockSize)) // old is open, so it stays
	awaitIdleOf(t, c, 1)
	require.NotZero(t, stop())
	readAll(t, h, old, 0, old.Size)
	require.Eventually(t, func() bool { return c.Complete(old.ID) }, 5*time.Second, time.Millisecond)
	require.NoError(t, c.Drop("young"))
	awaitIdleOf(t, c, 1)
	require.Equal(t, before, c.Usage().Used)
}

// awaitIdleOf waits until n archives are in use.
func awaitIdleOf(t *testing.T, c *Cache, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.active) == n
	}, 20*time.Second, time.Millisecond)
}

// TestEvictionFreesAtOnce: an archive whose blocks are not synced yet can be
// evicted, and none of its descriptors is left open.
// Proves S-44.
func TestEvictionFreesAtOnce(t *testing.T) {
	dir, limit, use := alone(t, 6)
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.Size, cfg.flushAfter = limit, time.Hour })
	readWhole(t, c, info("old", 4*BlockSize))
	awaitIdle(t, c)
	require.NotEmpty(t, openFiles(t, dir), "kept open until it is synced")
	stop := watchLimit(t, limit, use)
	young := info("young", 5*BlockSize)
	readWhole(t, c, young)
	require.Eventually(t, func() bool { return c.Complete(young.ID) }, 5*time.Second, time.Millisecond)
	require.NotZero(t, stop())
	require.NoError(t, c.Drop(young.ID))
	awaitIdleOf(t, c, 0)
	require.Empty(t, openFiles(t, dir))
	now, err := use()
	require.NoError(t, err)
	require.Less(t, now, int64(BlockSize))
}

// openFiles returns the data files below dir that this process has open.
func openFiles(t *testing.T, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no way to know the open files: %v", err)
	}
	var open []string
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && filepath.Dir(to) == filepath.Join(dir, filesName) {
			open = append(open, to)
		}
	}
	return open
}
