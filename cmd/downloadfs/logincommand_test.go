package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/login"
)

// A password where a switch is expected is not told to whoever reads messages.
// Proves S-61.
func TestPasswordIsNoSwitch(t *testing.T) {
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	code, out, stderr := tool("login", "--password=s3cret", "http://127.0.0.1:1")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "--password takes no value")
	assert.NotContains(t, out+stderr, "s3cret")

	t.Setenv("DOWNLOADFS_PASSWORD", "s3cret")
	const want = "DOWNLOADFS_PASSWORD: there is no such flag; did you mean ALFRESCO_PASSWORD?"
	for _, args := range [][]string{
		{"config", "check"}, {"login", "--retry-timeout", "1s", "http://127.0.0.1:1"},
		{"mount", "--retry-timeout", "1s", "http://127.0.0.1:1", t.TempDir()}, {"get", "--server", "http://127.0.0.1:1", "/x"},
	} {
		code, out, stderr = tool(args...)
		assert.NotZero(t, code, args)
		assert.Contains(t, out+stderr, want, args)
		assert.NotContains(t, out+stderr, "s3cret", args)
	}
}

// A login that cannot reach its server says so, and what to do.
// Proves S-109.
func TestLoginCannotReach(t *testing.T) {
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	t.Setenv("DOWNLOADFS_STATE_DIR", t.TempDir())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	code, _, stderr := tool("login", "http://127.0.0.1:1")
	assert.Equal(t, exitUnreachable, code, stderr)
	assert.Equal(t, "downloadfs: cannot log in to http://127.0.0.1:1: cannot reach 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused; check the URL and the network\n", stderr)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	code, _, stderr = tool("login", server.URL)
	assert.Equal(t, exitUnreachable, code, stderr)
	assert.Contains(t, stderr, "is signed by an authority that this system does not know; ")
	assert.Contains(t, stderr, "--ca-cert FILE")
}

// When the command that gives a password or a token fails, the message is about the
// command, and when the server refuses what it gave, about the server.
// Proves S-126.
func TestLoginCommandFails(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	t.Setenv("DOWNLOADFS_STATE_DIR", t.TempDir())
	for _, flag := range []string{"--password-command", "--token-command"} {
		get := func(command string) string {
			code, _, stderr := tool("get", "--server", server.URL, "--username", "finn", flag, command, "/Sites")
			assert.Equal(t, exitLogin, code, stderr)
			return stderr
		}
		stderr := get("nosuchcmd")
		assert.Contains(t, stderr, "cannot log in to "+server.URL+": nosuchcmd failed: ")
		assert.Contains(t, stderr, "; check --username and "+flag)
		assert.NotContains(t, stderr, "refuses")
		assert.Contains(t, get("echo wr0ng"), server.URL+" refuses the login of \"finn\"")
	}
}

// logout forgets every login of the server, and says whose.
// Proves S-109.
func TestLogoutForgetsAll(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	t.Setenv("DOWNLOADFS_STATE_DIR", dir)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	const address = "https://ecm.example.org"
	parse := func(text string) *url.URL {
		server, err := parseServerURL(text)
		require.NoError(t, err)
		return server
	}
	server, store := parse(address), login.Files{Dir: filepath.Join(dir, loginsDir)}
	of := func(name string) login.Entry {
		return login.Entry{Kind: login.KindPassword, Username: name, Secret: "s3cret"}
	}
	set := func(key string, e login.Entry) { require.NoError(t, store.Set(key, e)) }
	neighbour := accountKey(parse(address+"/other/alfresco"), "finn")
	set(neighbour, of("finn"))
	// finn typed his name, then gave --username. So did berta.
	all := func() {
		set(accountKey(server, ""), of("finn"))
		set(accountKey(server, "finn"), of("finn"))
		set(accountKey(server, "berta ä"), of("berta ä"))
	}
	left := func() []string {
		keys, err := store.Keys()
		require.NoError(t, err)
		slices.Sort(keys)
		return keys
	}
	removed := func(name string) string {
		return "the login of \"" + name + "\" for " + address + " was removed from " + store.Dir + "\n"
	}

	all()
	code, out, stderr := tool("logout", address)
	assert.Zero(t, code, stderr)
	assert.Equal(t, removed("berta ä")+removed("finn"), out)
	assert.Equal(t, []string{neighbour}, left())
	code, _, stderr = tool("logout", address)
	assert.Equal(t, exitOther, code)
	assert.Equal(t, "downloadfs: no login for "+address+" is stored\n", stderr)

	all()
	code, out, stderr = tool("logout", "--username", "finn", address)
	assert.Zero(t, code, stderr)
	assert.Equal(t, removed("finn"), out)
	code, _, stderr = tool("logout", "--username", "finn", address)
	assert.Equal(t, exitOther, code)
	assert.Equal(t, "downloadfs: no login of \"finn\" for "+address+" is stored; there is one of \"berta ä\"\n", stderr)
	_, _, _ = tool("logout", address)

	// What cannot be read is forgotten, too.
	set(accountKey(server, ""), login.Entry{Kind: login.KindAlias, Username: "finn"})
	set(accountKey(server, "finn"), of("finn"))
	require.NoError(t, os.WriteFile(filepath.Join(store.Dir, accountKey(server, "finn")+".json"), []byte("{"), 0o600))
	code, out, stderr = tool("logout", address)
	assert.Zero(t, code, stderr)
	assert.Equal(t, removed("finn"), out)
	assert.Equal(t, []string{neighbour}, left())
}
