package main

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/config"
	"downloadfs/login"
)

// readLogin reads credentials as mount does.
func readLogin(t *testing.T, settings config.Section, flags ...string) (credentials, error) {
	t.Helper()
	password, err := takeEnvironment(envPassword)
	require.NoError(t, err)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	var o serverOptions
	cmd := &cobra.Command{}
	o.addFlags(cmd.Flags())
	require.NoError(t, cmd.ParseFlags(append([]string{"--state-dir", t.TempDir()}, flags...)))
	require.NoError(t, applyEnvironment(cmd))
	rest, err := applySection(cmd, settings)
	require.NoError(t, err)
	server, err := url.Parse("https://ecm.example.org")
	require.NoError(t, err)
	return o.login(cmd, target{server: server, settings: rest}, password)
}

// Proves S-61.
func TestReadCredentials(t *testing.T) {
	t.Setenv(envUsername, "finn")
	t.Setenv(envPassword, "s3cret")
	c, err := readLogin(t, nil)
	require.NoError(t, err)
	assert.Equal(t, "finn", c.username)
	assert.Equal(t, "s3cret", c.password.Reveal())
	_, there := os.LookupEnv(envPassword)
	assert.False(t, there, "a child process would inherit the password")

	_, err = readLogin(t, nil)
	assert.Equal(t, exitUsage, exitCode(err), "no password")
	t.Setenv(envUsername, "")
	t.Setenv(envPassword, "s3cret")
	_, err = readLogin(t, nil)
	assert.Equal(t, exitUsage, exitCode(err), "no user name")
	t.Setenv(envPassword, "TICKET_0123")
	c, err = readLogin(t, nil)
	require.NoError(t, err, "a ticket names its user")
	assert.Empty(t, c.username)
}

// Of flags, environment and configuration, the first that says something counts.
// Proves S-96, S-108.
func TestLoginPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("of the file\n"), 0o600))
	set := func(key, text string) config.Section {
		return config.Section{key: {Words: []string{text}, Origin: "/c:1"}}
	}
	for _, c := range []struct {
		name     string
		env      map[string]string
		settings config.Section
		flags    []string
		user     string
		password string
	}{
		{"flag before all", map[string]string{envUsername: "env", envPassword: "env", "DOWNLOADFS_USERNAME": "var"}, set("username", "config"),
			[]string{"--username", "flag", "--password-file", file}, "flag", "of the file"},
		{"variable before the old one", map[string]string{envUsername: "env", envPassword: "env", "DOWNLOADFS_USERNAME": "var"}, nil, nil, "var", "env"},
		{"variable of the file", map[string]string{envUsername: "env", envPassword: "env", "DOWNLOADFS_PASSWORD_FILE": file}, nil, nil, "env", "of the file"},
		{"environment before configuration", map[string]string{envUsername: "env", envPassword: "env"}, set("username", "config"), nil, "env", "env"},
		{"environment before its file", map[string]string{envUsername: "env", envPassword: "env"}, set("password-file", file), nil, "env", "env"},
		{"environment before its password", map[string]string{envUsername: "env", envPassword: "env"}, set("password", "config"), nil, "env", "env"},
		{"its file", map[string]string{envUsername: "env"}, set("password-file", file), nil, "env", "of the file"},
		{"its password", map[string]string{envUsername: "env"}, set("password", "config"), nil, "env", "config"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			got, err := readLogin(t, c.settings, c.flags...)
			require.NoError(t, err)
			assert.Equal(t, c.user, got.username)
			assert.Equal(t, c.password, got.password.Reveal())
		})
	}
}

// Two ways to log in at the same place exclude each other; a way at a place that
// counts for more hides the others.
// Proves S-108.
func TestLoginWays(t *testing.T) {
	t.Setenv(envUsername, "finn")
	_, err := readLogin(t, nil, "--password-command", "pass show x", "--token-command", "gettoken")
	assert.ErrorContains(t, err, "--password-command and --token-command exclude each other")
	assert.Equal(t, exitUsage, exitCode(err))
	_, err = readLogin(t, config.Section{"password": {Words: []string{"s3cret"}, Origin: "/c:1"}, "token-command": {Words: []string{"x"}, Origin: "/c:2"}})
	assert.ErrorContains(t, err, "exclude each other")
	assert.NotContains(t, err.Error(), "s3cret")

	c, err := readLogin(t, config.Section{"token-command": {Words: []string{"x"}, Origin: "/c:2"}}, "--password-command", "printf from-command")
	require.NoError(t, err)
	require.Nil(t, c.tokens)
	password, err := c.passwords(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "from-command", password.Reveal())

	t.Setenv(envUsername, "")
	c, err = readLogin(t, nil, "--token-command", "printf token")
	require.NoError(t, err, "a token names its user")
	token, err := c.tokens(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, "token", token.Value.Reveal())

	c, err = readLogin(t, config.Section{keySecret: {Words: []string{"s3cret"}, Origin: "/c:1"}}, "--oidc-client", "batch")
	require.NoError(t, err)
	assert.Equal(t, "batch", c.username, "the client is the account")
	require.NotNil(t, c.tokens)
	_, err = readLogin(t, config.Section{keySecret: {Words: []string{"s3cret"}, Origin: "/c:1"}}, "--oidc-issuer", "http://sso.example.org/")
	assert.ErrorContains(t, err, "--allow-http")
}

// What systemd gives to a service counts before the configuration.
// Proves S-108.
func TestSystemdCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv(envUsername, "finn")
	require.NoError(t, os.WriteFile(filepath.Join(dir, credentialPassword), []byte("of systemd\n"), 0o400))
	c, err := readLogin(t, config.Section{"password": {Words: []string{"of the file"}, Origin: "/c:1"}})
	require.NoError(t, err)
	assert.Equal(t, "of systemd", c.password.Reveal())
}

// Without another way, what login has stored counts: for the server, or for that
// user of it.
// Proves S-108.
func TestStoredLogin(t *testing.T) {
	dir := t.TempDir()
	server, err := url.Parse("https://ecm.example.org")
	require.NoError(t, err)
	store := login.Files{Dir: filepath.Join(dir, loginsDir)}
	require.NoError(t, store.Set(accountKey(server, ""), login.Entry{Kind: login.KindPassword, Username: "finn", Secret: "stored"}))
	for _, name := range []string{"", "finn"} {
		t.Setenv(envUsername, name)
		c, err := readLogin(t, nil, "--state-dir", dir)
		require.NoError(t, err)
		assert.Equal(t, "finn", c.username)
		assert.Equal(t, "stored", c.password.Reveal())
	}
	t.Setenv(envUsername, "")
	other := filepath.Join(t.TempDir(), loginsDir)
	store = login.Files{Dir: other}
	require.NoError(t, store.Set(accountKey(server, "berta"), login.Entry{Kind: login.KindPassword, Username: "berta", Secret: "hers"}))
	require.NoError(t, store.Set(accountKey(server, ""), login.Entry{Kind: login.KindAlias, Username: "berta"}))
	of, err := readLogin(t, nil, "--state-dir", filepath.Dir(other))
	require.NoError(t, err, "the login of a user is that of whoever names none")
	assert.Equal(t, "hers", of.password.Reveal())
	t.Setenv(envUsername, "somebody else")
	_, err = readLogin(t, nil, "--state-dir", dir)
	assert.ErrorContains(t, err, "downloadfs login --username 'somebody else' https://ecm.example.org")
	c, err := readLogin(t, nil, "--state-dir", dir, "--client-cert", "/x")
	require.NoError(t, err, "the certificate may be enough")
	token, err := c.tokens(t.Context(), false)
	require.NoError(t, err)
	assert.Empty(t, token.Value.Reveal())
}

// Proves S-65.
func TestPasswordFile(t *testing.T) {
	t.Setenv(envUsername, "finn")
	t.Setenv(envPassword, "from the environment")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("pass word \r\nsecond line\n"), 0o600))
	c, err := readLogin(t, nil, "--password-file", file)
	require.NoError(t, err)
	assert.Equal(t, "pass word ", c.password.Reveal(), "the file goes before the environment")
	_, there := os.LookupEnv(envPassword)
	assert.False(t, there)

	for _, mode := range []os.FileMode{0o644, 0o604, 0o620, 0o602} {
		require.NoError(t, os.Chmod(file, mode))
		_, err := readLogin(t, nil, "--password-file", file)
		assert.ErrorContains(t, err, "chmod 600", "%o", mode)
	}
	require.NoError(t, os.Chmod(file, 0o640))
	_, err = readLogin(t, nil, "--password-file", file)
	assert.NoError(t, err, "a group that was let in on purpose may read")

	for _, name := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		_, err = readLogin(t, nil, "--password-file", name)
		assert.Equal(t, exitUsage, exitCode(err))
	}
}

// Notepad and PowerShell put a mark before the text, or write UTF-16.
// Proves S-65.
func TestPasswordFileWithByteOrderMark(t *testing.T) {
	t.Setenv(envUsername, "finn")
	for _, text := range []string{
		"pässword\r\n", "\xef\xbb\xbfpässword\r\n",
		"\xff\xfep\x00\xe4\x00s\x00s\x00w\x00o\x00r\x00d\x00\r\x00\n\x00", "\xfe\xff\x00p\x00\xe4\x00s\x00s\x00w\x00o\x00r\x00d\x00\n",
	} {
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		c, err := readLogin(t, nil, "--password-file", file)
		require.NoError(t, err)
		assert.Equal(t, "pässword", c.password.Reveal(), "%q", text)
	}
}

func TestServeUsers(t *testing.T) {
	t.Setenv(envServeUsers, "b:2 c:3:4")
	users, err := serveUsers([]string{"a:1"})
	require.NoError(t, err)
	require.Len(t, users, 3)
	assert.Equal(t, "c", users[2].Name)
	assert.Equal(t, "3:4", users[2].Password)
	_, there := os.LookupEnv(envServeUsers)
	assert.False(t, there)
	_, err = serveUsers([]string{"a:1", "secret"})
	assert.Equal(t, exitUsage, exitCode(err))
	assert.NotContains(t, err.Error(), "secret")
}
