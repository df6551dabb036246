package metrics

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Only this machine's own addresses are listened on, and each other one is refused
// with a sentence.
// Proves S-193.
func TestCheck(t *testing.T) {
	for _, address := range []string{"127.0.0.1:9470", "127.3.2.1:0", "[::1]:9470", "localhost:9470", "unix:/run/x.sock", "[::ffff:127.0.0.1]:1"} {
		assert.NoError(t, Check(address), address)
	}
	for address, want := range map[string]string{
		"0.0.0.0:9470":       "not this machine's own",
		":9470":              "not this machine's own",
		"[::]:9470":          "not this machine's own",
		"192.168.1.2:9470":   "not this machine's own",
		"metrics.local:9470": "not this machine's own",
		"localhost.evil:1":   "not this machine's own",
		"127.0.0.1":          "not an address",
		"9470":               "not an address",
		"127.0.0.1:http":     "no port",
		"127.0.0.1:70000":    "no port",
		"unix:x.sock":        "not an absolute path",
		"unix:":              "not an absolute path",
		"/run/x.sock":        "not an address",
	} {
		assert.ErrorContains(t, Check(address), want, address)
		_, err := Listen(address)
		assert.ErrorContains(t, err, want, address)
	}
}

// The socket is its user's from its first moment, takes the place of a dead one, and of
// nothing else.
// Proves S-193.
func TestSocket(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "m.sock")
	first, err := Listen("unix:" + path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSocket|0o600, info.Mode())

	_, err = Listen("unix:" + path)
	require.ErrorContains(t, err, "another process does")
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	second, err := Listen("unix:" + path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = Listen("unix:" + path)
	require.ErrorContains(t, err, "not a socket")
	require.FileExists(t, path)
	_, err = Listen("unix:" + filepath.Join(path, "x"))
	require.ErrorIs(t, err, syscall.ENOTDIR)
	missing := filepath.Join(t.TempDir(), "none", "x.sock")
	_, err = Listen("unix:" + missing)
	require.ErrorIs(t, err, syscall.ENOENT)
	require.ErrorContains(t, err, "cannot listen on unix:"+missing+": no such file or directory")
}
