package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMounts(t *testing.T) {
	m, mounted, err := mountAt("/proc")
	require.NoError(t, err)
	assert.True(t, mounted)
	assert.Equal(t, "proc", m.fsType)
	_, mounted, err = mountAt(t.TempDir())
	require.NoError(t, err)
	assert.False(t, mounted)
}

func TestResolveMountpoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	target := filepath.Join(dir, "target")
	require.NoError(t, os.Mkdir(target, 0o700))
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "one")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "one"), filepath.Join(dir, "two")))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	for _, name := range []string{"target", "target/", "one", "two", "./two/../one"} {
		got, err := resolveMountpoint(dir + "/" + name)
		require.NoError(t, err)
		assert.Equal(t, target, got, name)
	}
	_, err = resolveMountpoint(filepath.Join(dir, "loop"))
	assert.Error(t, err)
	got, err := resolveMountpoint(filepath.Join(dir, "missing"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "missing"), got)
	_, err = resolveMountpoint(filepath.Join(dir, "missing/deeper"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}
