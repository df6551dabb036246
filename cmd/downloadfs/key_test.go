package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAccountKey(t *testing.T) {
	key := func(server, user string) string {
		u, err := url.Parse(server)
		require.NoError(t, err)
		return accountKey(u, user)
	}
	a := key("https://ecm.example.org", "finn")
	assert.Regexp(t, `^ecm\.example\.org-443-finn-[0-9a-f]{8}$`, a)
	for _, same := range []string{
		"https://ECM.example.org/", "https://ecm.example.org:443", "https://ecm.example.org/alfresco/",
		"https://ecm.example.org/alfresco/api/-default-/public/alfresco/versions/1",
	} {
		assert.Equal(t, a, key(same, "finn"), same)
	}
	seen := map[string]bool{a: true}
	for _, other := range [][2]string{
		{"http://ecm.example.org", "finn"},
		{"https://ecm.example.org:8443", "finn"},
		{"https://ecm.example.org", "Finn"},
		{"https://ecm.example.org", "finn/../x"},
		{"https://ecm.example.org", "finn_.._x"},
		{"https://ecm.example.org/other", "finn"},
		{"https://ecm.example.org", strings.Repeat("ü", 300)},
		{"https://[::1]:1", "."},
		{"https://ecm.example.org", ""},
	} {
		k := key(other[0], other[1])
		assert.False(t, seen[k], k)
		seen[k] = true
		assert.Regexp(t, `^[A-Za-z0-9._-]{1,150}$`, k)
		assert.False(t, strings.HasPrefix(k, "."), k)
	}
}

// .stats tells whether two mounts are of one account, and does not name it.
func TestAccountMark(t *testing.T) {
	mark := func(server, user string) string {
		u, err := url.Parse(server)
		require.NoError(t, err)
		return accountMark(u, user)
	}
	a := mark("https://ecm.example.org", "finn")
	assert.Regexp(t, `^[0-9a-f]{16}$`, a)
	assert.Equal(t, a, mark("https://ecm.example.org:443/alfresco", "finn"))
	assert.NotEqual(t, a, mark("https://ecm.example.org", "berta"))
	assert.NotEqual(t, a, mark("https://ecm.example.net", "finn"))
}

func TestDefaultDirs(t *testing.T) {
	t.Setenv("HOME", "/home/finn")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("XDG_CACHE_HOME", "relative/paths/are/ignored")
	assert.Equal(t, "/home/finn/.local/state/downloadfs", defaultStateDir())
	assert.Equal(t, "/home/finn/.cache/downloadfs", defaultCacheDir())
	t.Setenv("XDG_STATE_HOME", "/s")
	assert.Equal(t, "/s/downloadfs", defaultStateDir())
	t.Setenv("HOME", "")
	assert.Empty(t, defaultCacheDir())
	_, err := accountDir("cache-dir", "", "key")
	assert.Equal(t, exitUsage, exitCode(err))
}

// Proves S-64.
func TestAccountDir(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "a", "b")
	path, err := accountDir("state-dir", shared, "key")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(shared, "key"), path)
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	assert.Equal(t, os.FileMode(0o700), mode(shared))
	assert.Equal(t, os.FileMode(0o700), mode(path))

	// What users share stays as it is, what is this user's own becomes private.
	require.NoError(t, os.Chmod(shared, 0o755))
	require.NoError(t, os.Chmod(path, 0o755))
	_, err = accountDir("state-dir", shared, "key")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), mode(shared))
	assert.Equal(t, os.FileMode(0o700), mode(path))

	file := filepath.Join(path, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = accountDir("state-dir", file, "key")
	assert.ErrorContains(t, err, "--state-dir")
	require.NoError(t, os.Symlink(path, filepath.Join(shared, "link")))
	_, err = accountDir("state-dir", shared, "link")
	assert.ErrorIs(t, err, errForeignDir)

	// So must be the directory for the parts of an archive, whose name others can tell.
	g := getter{options: &getOptions{output: filepath.Join(shared, "x.zip")}, remembered: "/state/0123.json"}
	require.NoError(t, os.Symlink(path, g.partsPath()))
	_, err = g.partsDir(false)
	require.ErrorIs(t, err, errForeignDir)
	require.NoError(t, os.Remove(g.partsPath()))
	dir, err := g.partsDir(false)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), mode(dir.path))
}
