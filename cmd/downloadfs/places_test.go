package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A place that the zip cannot go to is refused before the server is asked for
// anything.
// Proves S-159.
func TestGetChecksPlacesFirst(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	t.Setenv("ALFRESCO_USERNAME", "u")
	t.Setenv("DOWNLOADFS_STATE_DIR", t.TempDir())
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("r.zip", nil, 0o600))
	require.NoError(t, os.Symlink("missing", "nowhere"))
	get := func(args ...string) (int, string) {
		t.Setenv("ALFRESCO_PASSWORD", "p") // get takes it away
		code, _, stderr := tool(append([]string{"get", "--server", server.URL, "/Sites"}, args...)...)
		return code, stderr
	}
	for args, want := range map[string]string{
		"-o nodir/x.zip":          "--output nodir/x.zip: there is no directory nodir; make it first",
		"-o r.zip/x.zip":          "r.zip is a file, not a directory",
		"-o .":                    "is a directory; name a file in it",
		"--extract r.zip":         "--extract r.zip is a file, not a directory; choose another",
		"--extract r.zip/sub":     "r.zip/sub is a file, not a directory",
		"--extract x -o no/r.zip": "there is no directory no",
		"--extract x -o ./x":      "--extract and --output are both ./x; give the zip another name",
		"-o nowhere":              "--output nowhere is a link that leads nowhere",
	} {
		code, stderr := get(strings.Fields(args)...)
		assert.Equal(t, exitUsage, code, args)
		assert.Contains(t, stderr, want, args)
	}
	assert.Zero(t, asked.Load(), "the server was asked")
	if os.Geteuid() != 0 {
		require.NoError(t, os.Mkdir("sealed", 0o500))
		_, stderr := get("--extract", filepath.Join("sealed", "x", "y"))
		assert.Contains(t, stderr, "cannot write into sealed")
	}
	get("--extract", "new/dir")
	assert.Positive(t, asked.Load())
}
