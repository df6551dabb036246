package share

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestDirectoryUnmounted: what is below the mountpoint of a file system is not taken for
// the shared directory when that file system is gone. Another one that is mounted there
// is.
// Proves S-232.
func TestDirectoryUnmounted(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skip("mounting needs root: ", err)
	}
	mounted := true
	t.Cleanup(func() {
		if mounted {
			assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
		}
	})
	s := openDir(t, dir).(*dirStore)
	due := func() { s.looked = time.Time{} }
	require.NoError(t, s.Create(t.Context(), "a", []byte("x")))

	require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	mounted = false
	due()
	require.ErrorContains(t, s.Create(t.Context(), "b", []byte("x")), "nothing is mounted at "+dir+" any more")
	_, err := s.List(t.Context(), "")
	require.Error(t, err)
	assert.False(t, s.replaced())
	below, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, below)

	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	mounted = true
	due()
	_, err = s.List(t.Context(), "")
	require.ErrorIs(t, err, errReplaced)
	require.True(t, s.replaced())
	s.renew()
	require.NoError(t, s.Create(t.Context(), "b", []byte("x")))
	objects, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, objects, 1)
	assert.Equal(t, "b", objects[0].Key)
}
