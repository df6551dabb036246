package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
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
