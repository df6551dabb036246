package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Who may not let others in is told what is missing, and not that FUSE is.
func TestOthersAllowed(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	for text, allowed := range map[string]bool{
		"": false, "#user_allow_other\n": false, "mount_max = 5\n": false, "mount_max = 5\n user_allow_other \n": true, "user_allow_other": true,
	} {
		require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
		err := othersAllowed(conf)
		if allowed {
			assert.NoError(t, err, text)
			continue
		}
		assert.ErrorIs(t, err, ErrFUSE)
		assert.EqualError(t, err, "--allow-other needs the line user_allow_other in "+conf+"; as root, run: echo user_allow_other >> "+conf)
	}
	assert.Error(t, othersAllowed(conf+".none"))
}

func TestDevicesOn(t *testing.T) {
	var st unix.Stat_t
	require.NoError(t, unix.Stat("/proc", &st))
	devices, err := devicesOn("/proc")
	require.NoError(t, err)
	require.NotEmpty(t, devices)
	assert.Equal(t, fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), devices[len(devices)-1], "the topmost last")

	devices, err = devicesOn(t.TempDir())
	require.NoError(t, err)
	assert.Empty(t, devices)
}
