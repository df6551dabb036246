package fs

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

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
