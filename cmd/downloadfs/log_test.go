package main

import (
	"bytes"
	stdlog "log"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLibrariesLogHere(t *testing.T) {
	flags, writer := stdlog.Flags(), stdlog.Writer()
	t.Cleanup(func() { stdlog.SetFlags(flags); stdlog.SetOutput(writer) })
	var out bytes.Buffer
	_, err := (&logOptions{level: "info", format: "json"}).logger(&out)
	require.NoError(t, err)
	stdlog.Printf("Unsolicited response starting with %q; err=%v", "Authorization: Basic c2VjcmV0", nil)
	assert.Contains(t, out.String(), `"level":"WARN"`)
	assert.Contains(t, out.String(), "Unsolicited response starting with")
	assert.NotContains(t, out.String(), "c2VjcmV0")
}

// A log is in a file that no other user can read.
// Proves S-154.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := openLogFile(path)
	require.NoError(t, err)
	require.NoError(t, f.close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(path, 12345, 12345))
		_, err = openLogFile(path)
		require.ErrorContains(t, err, "belongs to another user")
	}
	_, err = openLogFile(filepath.Join(t.TempDir(), "none", "log"))
	require.ErrorContains(t, err, "make it first")
}
