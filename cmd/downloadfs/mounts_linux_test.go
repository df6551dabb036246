package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMountinfo(t *testing.T) {
	all, err := parseMountinfo(strings.NewReader(
		`22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
98 28 0:52 / /home/finn/my\040docs\134x rw,nosuid,nodev - fuse.downloadfs https://h/\040 rw,user_id=0
99 28 0:53 / /mnt rw master:1 propagate_from:2 - fuse.sshfs finn@h: rw
`))
	require.NoError(t, err)
	require.Len(t, all, 3)
	assert.Equal(t, mountEntry{"/home/finn/my docs\\x", "fuse.downloadfs", "https://h/ "}, all[1])
	assert.True(t, all[1].ours())
	assert.False(t, all[2].ours())

	for _, bad := range []string{"garbage\n", "1 2 3 4 - x y\n", "1 2 3 4 /mnt rw - x\n"} {
		_, err := parseMountinfo(strings.NewReader(bad))
		assert.Error(t, err, bad)
	}
}

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
