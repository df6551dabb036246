package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// configFile writes a configuration that the user u can read, and nobody else.
func configFile(t *testing.T, u harness.User, text string) string {
	t.Helper()
	path := filepath.Join(harness.Dir(t, u), "config.yaml")
	harness.Cmd{User: u, Name: "sh", Args: []string{"-c", `umask 077 && cat >"$1"`, "sh", path}, Stdin: strings.NewReader(text)}.Run(t).OK(t)
	return path
}

// A profile has all that a mount needs.
// Proves S-96.
func TestMountProfile(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	u := harness.Ordinary(t)
	config := configFile(t, u, "profiles:\n  work:\n    url: "+s.URL+"\n    username: "+harness.AdminName+"\n    password: "+harness.AdminPassword+"\n    wait: open\n")
	m := harness.StartMount(t, s, harness.MountOptions{User: u, NoLogin: true, URL: "work", Flags: []string{"--config", config}})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	m.Sh(t, "stat "+id+"/archive.zip").OK(t) // which would not wait in any case
	assert.NotZero(t, len(m.Sh(t, "cat "+id+"/archive.zip").OK(t).Stdout))
	assertNoSecret(t, "the log", m.Log.Text())

	require.NoError(t, os.Chmod(config, 0o644))
	_, failure := harness.TryMount(t, s, harness.MountOptions{User: u, NoLogin: true, URL: "work", Flags: []string{"--config", config}})
	require.NotNil(t, failure, "it mounted")
	assert.Equal(t, 2, failure.Code)
	assert.Contains(t, failure.Line, "chmod 600 "+config)
}

// Where a mountpoint is meant, a profile means its own.
// Proves S-96.
func TestProfileInPlaceOfMountpoint(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	path := filepath.Join(harness.Dir(t, harness.User{}), "mnt")
	require.NoError(t, os.Mkdir(path, 0o700))
	config := configFile(t, harness.User{}, "profiles:\n  work:\n    url: "+s.URL+"\n    mountpoint: "+path+"\n  bare:\n    url: "+s.URL+"\n")
	m := harness.StartMount(t, s, harness.MountOptions{Path: path, StateDir: harness.Dir(t, harness.User{}), CacheDir: harness.Dir(t, harness.User{})})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	run := func(args ...string) harness.Result {
		return harness.Cmd{Name: harness.Binary(), Args: append(args, "--config", config)}.Run(t)
	}
	assert.Contains(t, run("status", "work").Out(t), id[:8])
	run("bandwidth", "5M", "work").OK(t)
	assert.Equal(t, "5M", m.Sh(t, "cat ../.bandwidth").Out(t))
	r := run("status", "bare")
	assert.Equal(t, 2, r.Code)
	assert.Contains(t, r.Stderr, `the profile "bare" has no mountpoint; name the directory`)
	r = run("unmount", "none")
	assert.Equal(t, 5, r.Code, "%s", r)
	run("unmount", "work").OK(t)
	assert.Zero(t, m.ExitCode(t))
}
