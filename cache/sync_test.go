package cache

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestFailedSync: after a sync that failed nothing of what was written since the
// one before is believed, whatever the file says.
// Proves S-102.
func TestFailedSync(t *testing.T) {
	a := info("unsynced", 6*BlockSize+7)
	var failed atomic.Bool
	dir, src := t.TempDir(), &fakeSource{}
	var logged logBuffer
	c := openCache(t, dir, src, func(cfg *Config) {
		cfg.Logger, cfg.flushAfter = logged.logger(), time.Millisecond
		cfg.sync = func(f *os.File) error {
			if c := f.Name(); failed.Load() || !strings.Contains(c, fileHash(a.ID)) {
				return syncData(f)
			}
			// As Linux does it: the pages are taken for written, and forgotten.
			if err := f.Truncate(0); err != nil {
				return err
			}
			if err := f.Truncate(a.Size); err != nil {
				return err
			}
			failed.Store(true)
			return unix.EIO
		}
	})
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, failed.Load, 5*time.Second, time.Millisecond)
	for range 3 {
		readAll(t, h, a, 0, a.Size)
		if f, ok := h.File(0, a.Size); ok {
			p := make([]byte, a.Size)
			_, err := f.ReadAt(p, 0)
			require.NoError(t, err)
			require.Equal(t, content(a.ID, 0, a.Size), p)
		}
	}
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "the disk did not keep what was written") }, 5*time.Second, time.Millisecond)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())
	againRight(t, dir, a)
}

// againRight opens the cache once more and reads a: every byte is right, and no
// block turns out to be claimed falsely.
func againRight(t *testing.T, dir string, a download.ArchiveInfo) {
	t.Helper()
	var logged logBuffer
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.Logger = logged.logger() })
	readWhole(t, c, a)
	require.NoError(t, c.Close())
	require.NotContains(t, logged.String(), "damaged")
}

// TestUnsyncedIsChecked: until a sync says that a block is on the disk, its bytes
// are compared with what came from the server whenever they are read.
// Proves S-102.
func TestUnsyncedIsChecked(t *testing.T) {
	a := info("forgotten", 6*BlockSize+7)
	c := openCache(t, t.TempDir(), &fakeSource{}, func(cfg *Config) { cfg.flushAfter = time.Hour })
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, func() bool { return c.Complete(a.ID) }, 5*time.Second, time.Millisecond)
	f, err := c.lookup(a.ID).open(false)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(0))
	require.NoError(t, f.Truncate(a.Size))
	_, ok := h.File(0, 1)
	require.False(t, ok)
	readAll(t, h, a, 0, a.Size)
}

// TestFailingDisk uses a disk that loses what is written to it, as the kernel does:
// a real sync fails once, and the pages read as zeros afterwards.
// Proves S-102.
func TestFailingDisk(t *testing.T) {
	mnt, fail := failingDisk(t)
	dir, src := filepath.Join(mnt, "cache"), &fakeSource{}
	var logged logBuffer
	var syncs, failures atomic.Int32
	c := openCache(t, dir, src, func(cfg *Config) {
		cfg.Logger, cfg.flushAfter = logged.logger(), 20*time.Millisecond
		cfg.sync = func(f *os.File) error {
			syncs.Add(1)
			err := syncData(f)
			if err != nil {
				failures.Add(1)
			}
			return err
		}
	})
	kept := info("kept", 3*BlockSize)
	readWhole(t, c, kept)
	require.Eventually(t, func() bool { return syncs.Load() > 0 }, 5*time.Second, time.Millisecond)
	fail()
	lost := info("lost", 5*BlockSize+7)
	h := openArchive(t, c, lost)
	readAll(t, h, lost, 0, lost.Size)
	require.Eventually(t, func() bool {
		return failures.Load() > 0 || strings.Contains(logged.String(), "cannot write")
	}, 10*time.Second, time.Millisecond, "the disk did not fail: %d syncs", syncs.Load())
	dropPages(t, dir)
	readAll(t, h, lost, 0, lost.Size)
	readWhole(t, c, kept)
	require.NoError(t, h.Close())
	t.Logf("%d syncs, %d failed", syncs.Load(), failures.Load())
	_ = c.Close() // the index is on the same disk
}

// dropPages has the kernel forget the clean pages of the data files.
func dropPages(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, filesName, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		require.NoError(t, forgetPages(f))
		require.NoError(t, f.Close())
	}
}

// failingDisk mounts a file system on a loop device whose backing file cannot grow
// any more once fail has been called: then nothing can be written to it, except
// over what is there.
func failingDisk(t *testing.T) (mnt string, fail func()) {
	t.Helper()
	back := mountTmpfs(t, "size=48m")
	img, mnt := filepath.Join(back, "img"), t.TempDir()
	require.NoError(t, os.WriteFile(img, nil, 0o600))
	require.NoError(t, os.Truncate(img, 64<<20))
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-O", "^has_journal", img}, {"mount", "-o", "loop", img, mnt}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("no file system on a loop device here: %v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", mnt, err, out)
		}
	})
	return mnt, func() {
		f, err := os.Create(filepath.Join(back, "filler"))
		require.NoError(t, err)
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		require.True(t, errors.Is(err, unix.ENOSPC), err)
	}
}
