package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestEviction: the least recently used archive goes first, an open one never,
// and the limit holds throughout.
// Proves S-44.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		src := &fakeSource{}
		const limit = 10*BlockSize + overhead + 100<<10
		c := openCache(t, dir, src, func(cfg *Config) { cfg.Size = limit })
		read := func(name string, blocks int64) func() {
			a := info(name, blocks*BlockSize)
			h := openArchive(t, c, a)
			readAll(t, h, a, 0, a.Size)
			time.Sleep(5 * time.Second) // streams are idle, the index is written
			use, err := diskUse(dir)
			require.NoError(t, err)
			require.LessOrEqual(t, use, int64(limit))
			u := c.Usage()
			require.LessOrEqual(t, u.Used, u.Limit)
			return func() { _ = h.Close(); time.Sleep(5 * time.Second) }
		}
		read("one", 3)()
		closeTwo := read("two", 3)
		read("three", 3)()
		read("one", 3)() // used again: three is older now
		require.True(t, c.Complete("one") && c.Complete("two") && c.Complete("three"))

		read("four", 4)()
		require.Zero(t, c.Cached("three"))
		require.True(t, c.Complete("two"), "open")
		require.True(t, c.Complete("one"))
		require.True(t, c.Complete("four"))

		// Everything else goes, and what does not fit beside the open one is read
		// from the server.
		read("five", 9)()
		require.True(t, c.Complete("two"))
		require.Zero(t, c.Cached("one"))
		require.Zero(t, c.Cached("four"))
		require.EqualValues(t, 7*BlockSize, c.Cached("five"))

		// Larger than the limit: it takes what is free and evicts nothing.
		closeTwo()
		read("six", 20)()
		require.True(t, c.Complete("two"))
		require.EqualValues(t, 7*BlockSize, c.Cached("five"))
		require.Zero(t, c.Cached("six"))
	})
}

// TestUsage adds up what is cached.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.Size = 20 * BlockSize })
	empty := c.Usage()
	require.EqualValues(t, 20*BlockSize, empty.Limit)
	require.Greater(t, empty.Free, int64(19*BlockSize))
	a := info("used", 4*BlockSize+1)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, func() bool { return c.Complete(a.ID) }, 5*time.Second, time.Millisecond)
	used := c.Usage()
	require.GreaterOrEqual(t, used.Used-empty.Used, a.Size)
	require.LessOrEqual(t, used.Used-empty.Used, a.Size+64<<10)
	require.LessOrEqual(t, used.Used+used.Free, used.Limit)

	// Dropped while open: the room is in use until the last handle is closed.
	require.NoError(t, c.Drop(a.ID))
	require.Zero(t, c.Cached(a.ID))
	require.Equal(t, used.Used, c.Usage().Used)
	require.NoError(t, h.Close())
	require.Eventually(t, func() bool { return c.Usage().Used < BlockSize }, 5*time.Second, time.Millisecond)
}

// TestMinFree: the cache leaves room on the disk, and gives up old archives
// rather than take it.
// Proves S-44.
func TestMinFree(t *testing.T) {
	dir := t.TempDir()
	src := &fakeSource{}
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	c := openCache(t, dir, src, func(cfg *Config) { cfg.MinFree = int64(st.Bavail)*int64(st.Bsize) + 1<<40 })
	a := info("kept-out", 3*BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
	require.Zero(t, c.Cached(a.ID))
	require.Zero(t, c.Usage().Free)
	c.Prefetch(a)
	time.Sleep(10 * time.Millisecond)
	require.Zero(t, c.Cached(a.ID))
}

// TestNoPointlessEviction: archives are not given up where that would not make
// enough room.
func TestNoPointlessEviction(t *testing.T) {
	dir := t.TempDir()
	src := &fakeSource{}
	c := openCache(t, dir, src)
	old := info("old", 3*BlockSize)
	h := openArchive(t, c, old)
	readAll(t, h, old, 0, old.Size)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())

	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	c = openCache(t, dir, src, func(cfg *Config) { cfg.MinFree = int64(st.Bavail)*int64(st.Bsize) + 1<<40 })
	a := info("young", 3*BlockSize)
	h = openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.True(t, c.Complete(old.ID))
	require.Zero(t, c.Cached(a.ID))
}

// TestNothingIsRememberedOfNothing: archives of which nothing is kept leave no
// trace when they are closed.
func TestNothingIsRememberedOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.Size = 1 })
		for i := range 20 {
			a := info(fmt.Sprintf("fleeting-%d", i), BlockSize)
			h := openArchive(t, c, a)
			readAll(t, h, a, 0, a.Size)
			require.NoError(t, h.Close())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Empty(t, c.archives)
		require.Empty(t, c.active)
		files, err := os.ReadDir(filepath.Join(dir, filesName))
		require.NoError(t, err)
		require.Empty(t, files)
	})
}

// mountTmpfs mounts a small file system and returns its directory.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountFS(dir, options); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		var err error
		for range 500 { // a loop device lets go of its file a moment after it is unmounted
			if err = unix.Unmount(dir, 0); err != unix.EBUSY {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestDiskFull: on a disk smaller than the limit everything is read right, and as
// much as fits is kept.
// Proves S-45.
func TestDiskFull(t *testing.T) {
	dir := filepath.Join(mountTmpfs(t, "size=6m"), "cache")
	src := &fakeSource{}
	var logged logBuffer
	c := openCache(t, dir, src, func(cfg *Config) { cfg.Logger = logged.logger() })
	a := info("full", 10*BlockSize+5)
	h := openArchive(t, c, a)
	for range 3 {
		readAll(t, h, a, 0, a.Size)
	}
	cached := c.Cached(a.ID)
	require.Greater(t, cached, int64(3*BlockSize))
	require.Less(t, cached, int64(6*BlockSize))
	before := src.count()
	readAll(t, h, a, 0, 2*BlockSize)
	require.Equal(t, before, src.count())

	// An archive that nobody has open makes room for another.
	require.NoError(t, h.Close())
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.active) == 0
	}, 20*time.Second, 10*time.Millisecond)
	b := info("next", 2*BlockSize)
	hb := openArchive(t, c, b)
	readAll(t, hb, b, 0, b.Size)
	require.Eventually(t, func() bool { return c.Complete(b.ID) }, 5*time.Second, time.Millisecond)
	require.Zero(t, c.Cached(a.ID))
	require.NoError(t, hb.Close())
	require.NoError(t, c.Close())
}

// TestDiskFilledByOthers: the disk is filled behind the cache's back, so that a
// write fails although there seemed to be room.
// Proves S-45.
func TestDiskFilledByOthers(t *testing.T) {
	mnt := mountTmpfs(t, "size=8m")
	dir := filepath.Join(mnt, "cache")
	src := &fakeSource{}
	var logged logBuffer
	c := openCache(t, dir, src, func(cfg *Config) { cfg.Logger = logged.logger() })
	a := info("squeezed", 6*BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, BlockSize)
	filler, err := os.Create(filepath.Join(mnt, "filler"))
	require.NoError(t, err)
	defer filler.Close()
	for {
		if _, err := filler.Write(make([]byte, 64<<10)); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			break
		}
	}
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, filler.Truncate(0))
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())
}

// TestWriteFails: the write itself fails with ENOSPC, as on a disk whose free
// space is not what statfs says. The reader notices nothing, and after a while
// the cache tries again.
func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{}
		var logged logBuffer
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Logger = logged.logger() })
		c.diskFailed(unix.ENOSPC)
		a := info("failing", 6*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		require.Zero(t, c.Cached(a.ID))
		require.Equal(t, 1, strings.Count(logged.String(), "the cache's disk is full; archives are read straight from the server"))
		time.Sleep(diskPause + time.Second)
		require.NoError(t, h.Close())
		time.Sleep(5 * time.Second)
		h = openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		synctest.Wait()
		require.True(t, c.Complete(a.ID))
	})
}

// TestUnusableDirectory: where nothing can be kept, everything can be read.
// Proves S-45.
func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	dirs := map[string]func(t *testing.T) string{
		"a file":       func(*testing.T) string { return file },
		"below a file": func(*testing.T) string { return filepath.Join(file, "x") },
		"no directory": func(*testing.T) string { return "" },
		"read-only":    func(t *testing.T) string { return mountTmpfs(t, "ro") },
		"full":         func(t *testing.T) string { return fullDisk(t) },
	}
	for name, make := range dirs {
		t.Run(name, func(t *testing.T) {
			var logged logBuffer
			src := &fakeSource{}
			c := openCache(t, make(t), src, func(cfg *Config) { cfg.Logger = logged.logger() })
			require.Contains(t, logged.String(), "level=WARN")
			for i := range 3 {
				a := info(fmt.Sprintf("direct-%d", i), int64(i)*20*BlockSize+int64(i))
				h := openArchive(t, c, a)
				readAll(t, h, a, 0, a.Size)
				readAll(t, h, a, a.Size/2, a.Size)
				_, ok := h.File(0, 1)
				require.False(t, ok)
				c.Prefetch(a)
			}
			require.Zero(t, c.Usage())
			require.Zero(t, c.Cached("direct-2"))
			require.NoError(t, c.Drop("direct-2"))
			_, err := c.List()
			require.Error(t, err)
			_, err = c.Verify(t.Context())
			require.Error(t, err)
			require.Error(t, c.Clear())
		})
	}
}

// fullDisk returns a directory on a disk without a free byte.
func fullDisk(t *testing.T) string {
	mnt := mountTmpfs(t, "size=64k")
	dir := filepath.Join(mnt, "cache")
	require.NoError(t, os.Mkdir(dir, 0o700))
	f, err := os.Create(filepath.Join(mnt, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.True(t, errors.Is(err, unix.ENOSPC), err)
	return dir
}
