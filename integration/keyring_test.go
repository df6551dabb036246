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

// startKeyring starts a session bus with an unlocked keyring on it, and returns
// the environment of a session that has them.
func startKeyring(t *testing.T, u harness.User) []string {
	t.Helper()
	dir := harness.Dir(t, u)
	bus := filepath.Join(dir, "bus")
	env := []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + bus}
	harness.Cmd{User: u, Env: env, Name: "dbus-daemon", Args: []string{"--session", "--nofork", "--nopidfile", "--address=unix:path=" + bus}, Timeout: 5 * harness.Timeout}.Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return listens(bus) }, "no session bus")
	harness.Cmd{
		User: u, Env: env, Stdin: strings.NewReader("the keyring's own password"), Name: "gnome-keyring-daemon",
		Args: []string{"--unlock", "--foreground", "--components=secrets"}, Timeout: 5 * harness.Timeout,
	}.Start(t)
	harness.Cmd{User: u, Env: env, Name: "gdbus", Args: []string{"wait", "--session", "--timeout", "30", "org.freedesktop.secrets"}}.Run(t).OK(t)
	return env
}

// The desktop's keyring has the login, and no file does: login stores it, mount
// finds it, logout forgets it.
// Proves S-109.
func TestKeyring(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	env := startKeyring(t, u)
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, u)
	run := func(stdin string, args ...string) harness.Result {
		return harness.Cmd{User: u, Env: env, Stdin: strings.NewReader(stdin), Name: harness.Binary(), Args: args}.Run(t)
	}
	r := run(harness.AdminPassword+"\n", "login", "--password", "--username", harness.AdminName, "--state-dir", dir, s.URL).OK(t)
	assert.Contains(t, r.Stdout, "stored in the desktop's keyring")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "a file has it")

	o := harness.MountOptions{User: u, NoLogin: true, Env: append(env, "ALFRESCO_USERNAME="+harness.AdminName), StateDir: dir}
	m := harness.StartMount(t, s, o)
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)
	m.Unmount(t)
	assertNoSecret(t, "the log", m.Log.Text())

	// There is one of whoever names no user, too.
	harness.Cmd{
		User: u, Env: append(env, "ALFRESCO_USERNAME="+harness.AdminName), Stdin: strings.NewReader(harness.AdminPassword + "\n"),
		Name: harness.Binary(), Args: []string{"login", "--password", "--state-dir", dir, s.URL},
	}.Run(t).OK(t)
	r = run("", "logout", "--state-dir", dir, s.URL).OK(t)
	assert.Contains(t, r.Stdout, "removed from the desktop's keyring")
	assert.Equal(t, 1, run("", "logout", "--state-dir", dir, s.URL).Code, "nothing is left to forget")
	_, failure := harness.TryMount(t, s, o)
	require.NotNil(t, failure, "it mounted")
	assert.Contains(t, failure.Line, "downloadfs login")

	// Where there is a session without a keyring, login falls back to a file.
	r = harness.Cmd{
		User: u, Env: []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}, Stdin: strings.NewReader(harness.AdminPassword + "\n"),
		Name: harness.Binary(), Args: []string{"login", "--password", "--username", harness.AdminName, "--state-dir", dir, s.URL},
	}.Run(t).OK(t)
	assert.Contains(t, r.Stdout, "stored in "+dir+"/logins")
}
