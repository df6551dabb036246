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
