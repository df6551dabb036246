package main

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Proves S-59.
func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, notify("READY=1"), "without a service manager nothing is told")

	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	require.NoError(t, notify("READY=1\nSTATUS=mounted"))
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "READY=1\nSTATUS=mounted", string(buf[:n]))

	t.Setenv("NOTIFY_SOCKET", name+"-missing")
	assert.Error(t, notify("READY=1"))
}
