package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// What was synced is there after a crash, however seldom the index is written by
// itself.
// Proves S-167.
func TestSync(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, &fakeSource{}, func(cfg *Config) { cfg.flushAfter = time.Hour })
	a, other := info("kept", 3*BlockSize+17), info("other", BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, func() bool { return c.Complete(a.ID) }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Sync(t.Context(), a.ID))
	require.ErrorIs(t, c.Sync(t.Context(), other.ID), download.ErrNotFound)

	// A crash: nobody tells the index anything any more.
	copied := filepath.Join(t.TempDir(), "after")
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	require.NoError(t, filepath.Walk(copied, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	}))
	after := openCache(t, copied, nil)
	require.True(t, after.Complete(a.ID))
	readAll(t, openArchive(t, after, a), a, 0, a.Size)

	require.NoError(t, c.Drop(a.ID))
	require.ErrorIs(t, c.Sync(t.Context(), a.ID), download.ErrNotFound)
}
