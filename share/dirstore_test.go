package share

import (
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func openDir(t *testing.T, dir string) Store {
	t.Helper()
	s, err := OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// TestDirectoryIsPrivate: nobody else can read what is in the directory, no link leads
// out of it, and what a dead mount has left half written is no object.
// Proves S-215.
func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share")
	s := openDir(t, dir)
	require.NoError(t, s.Create(t.Context(), "a/b", []byte("x")))
	require.NoError(t, filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s is %s", path, info.Mode())
		return nil
	}))

	outside := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "a", "link")))
	_, err := s.Open(t.Context(), "a/link", 0, -1)
	require.Error(t, err)
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(dir, "out")))
	assert.Error(t, s.Create(t.Context(), "out/x", nil))
	_, err = s.Open(t.Context(), "../secret", 0, -1)
	assert.Error(t, err)

	half := filepath.Join(dir, "a", partial+"half")
	require.NoError(t, os.WriteFile(half, []byte("x"), 0o600))
	objects, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, objects, 1)
	assert.Equal(t, "a/b", objects[0].Key)
	pruned, err := Prune(t.Context(), s, nil, PruneOptions{Size: -1})
	require.NoError(t, err)
	assert.Zero(t, pruned.Garbage, "it may still be written")
	old := time.Now().Add(-2 * abandonedAfter)
	require.NoError(t, os.Chtimes(half, old, old))
	pruned, err = Prune(t.Context(), s, nil, PruneOptions{Size: -1})
	require.NoError(t, err)
	assert.Equal(t, 1, pruned.Garbage)
	assert.NoFileExists(t, half)
}

// TestDirectoryHoldsOtherThings: what is no regular file is no object, and nobody waits
// for it.
func TestDirectoryHoldsOtherThings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share")
	s := openDir(t, dir)
	require.NoError(t, s.Create(t.Context(), "a/b", []byte("x")))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "a", "fifo"), 0o600))
	began := time.Now()
	for _, key := range []string{"a/fifo", "a"} {
		_, err := s.Open(t.Context(), key, 0, -1)
		require.Error(t, err)
	}
	assert.Less(t, time.Since(began), 10*time.Second)
	objects, err := s.List(t.Context(), "")
	require.NoError(t, err)
	assert.Len(t, objects, 1)
}
