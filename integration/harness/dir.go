package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/stretchr/testify/require"
)

// Dir makes an empty directory for a test. User u owns it, and others can enter it.
// It is removed at the end, but only if nothing is mounted in it any more. Otherwise
// the test fails and the directory stays.
func Dir(t testing.TB, u User) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "downloadfs-test-")
	require.NoError(t, err)
	// Mounts are listed by their real paths.
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	t.Cleanup(func() { removeDir(t, dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	u.own(t, dir)
	return dir
}

func removeDir(t testing.TB, dir string) {
	t.Helper()
	if left := MountsBelow(t, dir); len(left) > 0 {
		t.Errorf("not removing %s: still mounted: %s", dir, strings.Join(left, ", "))
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("remove %s: %v", dir, err)
	}
}

// MountsBelow lists the mountpoints at or below dir, without touching them.
func MountsBelow(t testing.TB, dir string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	require.NoError(t, err)
	var below []string
	for _, m := range mounts {
		below = append(below, m.Mountpoint)
	}
	return below
}

// Mounted reports whether path is a mountpoint, without touching it.
func Mounted(t testing.TB, path string) bool {
	t.Helper()
	for _, m := range MountsBelow(t, path) {
		if m == path {
			return true
		}
	}
	return false
}
