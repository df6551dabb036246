package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

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
