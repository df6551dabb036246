package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/client"
	"downloadfs/download"
)

// Proves S-53.
func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{exitf(exitUsage, "x"), 2},
		{fmt.Errorf("y: %w", exitf(exitMountpoint, "x")), 5},
		{errors.Join(exitf(exitUnreachable, "x"), errors.New("y")), 4},
		{fmt.Errorf("check: %w", download.ErrUnauthorized), 3},
		{fmt.Errorf("check: %w", download.ErrForbidden), 3},
		{fmt.Errorf("check: %w", download.ErrUnavailable), 4},
		{fmt.Errorf("open: %w", download.ErrLocked), 6},
		{exitf(exitUsage, "x: %w", download.ErrUnavailable), 2},
	} {
		assert.Equal(t, c.want, exitCode(c.err), "%v", c.err)
	}
}

// Whatever is wrong with a command line, it is told in one line, on standard
// error, with exit code 2, and secrets in it are not repeated.
// Proves S-53, S-61.
func TestWrongUsage(t *testing.T) {
	t.Setenv(envUsername, "finn")
	for _, c := range []struct {
		args string
		want string // what the line must hold
	}{
		{"frobnicate", "there is no command \"frobnicate\"; see 'downloadfs --help'"},
		{"mount", "wrong number of arguments; write: downloadfs mount [flags] URL MOUNTPOINT | PROFILE [MOUNTPOINT]; see 'downloadfs mount --help'"},
		{"mount http://h.example", "no mountpoint"},
		{"mount wrok /m", "no profile"},
		{"config", "config --help"},
		{"login", "wrong number of arguments; write: downloadfs login [flags] URL|PROFILE; "},
		{"login --store attic http://127.0.0.1:1", "--store"},
		{"logout wrok", "no profile"},
		{"mount --client-key /k http://h.example /m", "--client-cert"},
		{"mount --config /nonexistent/x work", "no profile"},
		{"mount --frob http://h /m", "unknown flag: --frob"},
		{"mount --cache-sise 1G http://h /m", "unknown flag: --cache-sise; did you mean --cache-size?"},
		{"mount --cache-size 5X http://h /m", "--cache-size"},
		{"mount --wait never http://h /m", "--wait"},
		{"mount --prefetch maybe http://h /m", "--prefetch"},
		{"mount --stall-timeout -1s http://h /m", "--stall-timeout"},
		{"mount --retry-timeout 0 http://h /m", "--retry-timeout"},
		{"mount --log-level loud http://h /m", "--log-level"},
		{"mount --log-format xml http://h /m", "--log-format"},
		{"mount http://finn:s3cret@h /m", "the server URL holds a user name, a password or a ticket"},
		{"mount http://h/?alf_ticket=TICKET_s3cret /m", "the server URL holds a user name, a password or a ticket"},
		{"mount http://h/%zz?s3cret /m", "cannot be read"},
		{"get http://finn:s3cret@h/share/page/document-details?nodeRef=workspace://SpacesStore/x", "the server URL holds a user name, a password or a ticket"},
		{"get --server https://h /a http://h/x?alf_ticket=s3cret", "the server URL holds a user name, a password or a ticket"},
		{"login ecm.example.com", "did you mean https://ecm.example.com?"},
		{"login --password s3cret http://h", "--password takes no value"},
		{"login http://ecm.example.com", "http:// to ecm.example.com would show the login to the network"},
		{"mont http://h /m", "there is no command \"mont\"; did you mean mount?"},
		{"mount 127.0.0.1:18181 /m", `the server URL "127.0.0.1:18181" must begin with https:// (or http://)`},
		{"mount localhost:8080 /m", `"localhost:8080" is not a server URL; write it like https://`},
		{"mount ftp://h /m", "is not a server URL; write it like https://"},
		{"mount http://h/#x=TICKET_s3cret /m", "the server URL holds a user name, a password or a ticket"},
		{"mount http://h.example /m", "no password for finn"},
		{"mount --password-file /nonexistent http://h /m", "--password-file"},
		{"unmount", "wrong number of arguments"},
		{"serve", "wrong number of arguments"},
		{"serve --user finn /", "NAME:PASSWORD"},
		{"demo a b", "wrong number of arguments"},
		{"version x", "wrong number of arguments; write: downloadfs version [flags]; see 'downloadfs version --help'"},
		{"cache lst", "there is no command \"cache lst\"; did you mean list?"},
		{"get -my-/letter.txt", "-my-/letter.txt looks like a flag; write it after --, as in 'downloadfs get -- -my-/letter.txt'"},
		{"bandwidth 2X", "invalid value \"2X\" for RATE: write bytes a second like 500K or 5M, or off"},
		{"cache", "cache --help"},
		{"help frobnicate", "there is no command \"frobnicate\"; see 'downloadfs --help'"},
		{"help config frobnicate", "there is no command \"config frobnicate\"; see 'downloadfs config --help'"},
		{"help mont", "there is no command \"mont\"; did you mean mount?"},
		{"completion", "say for which shell: bash"},
		{"completion frob", "there is no command \"completion frob\""},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, run(strings.Fields(c.args), &stdout, &stderr), "%s: %s", c.args, &stderr)
		assert.Empty(t, stdout.String(), c.args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s: %s", c.args, &stderr)
		assert.Contains(t, stderr.String(), c.want, c.args)
		assert.NotContains(t, stderr.String(), "s3cret", c.args)
	}
}

// Whoever interrupts a command that waits for the server is not told that something is
// wrong with the server.
// Proves S-238.
func TestInterruptedWhileTheServerIsSilent(t *testing.T) {
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	t.Setenv("DOWNLOADFS_STATE_DIR", t.TempDir())
	t.Setenv(envUsername, "finn")
	t.Setenv(envPassword, "s3cret")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-ended
	}))
	defer server.Close()
	defer close(ended)
	root := newRootCommand()
	root.SetArgs([]string{"get", "--server", server.URL, "/Sites"})
	err := root.ExecuteContext(ctx)
	require.EqualError(t, err, "interrupted")
	assert.Equal(t, exitOther, exitCode(err))

	o := serverOptions{retryTimeout: time.Minute}
	login := credentials{username: "finn", password: "s3cret"}
	parsed, err := parseServerURL(server.URL)
	require.NoError(t, err)
	c, err := client.New(o.clientConfig(parsed, login, slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer c.Close()
	offline, err := checkServer(ctx, c, parsed, login)
	assert.NoError(t, offline, "a mount would go on without the server")
	assert.ErrorIs(t, err, errInterrupted)
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "help mount", "help config check", "help completion", "mount --help", "help help"} {
		code, out, stderr := tool(strings.Fields(args)...)
		assert.Zero(t, code, args)
		assert.Contains(t, out, "Usage:", args)
		assert.Empty(t, stderr, args)
	}
}

func TestVersion(t *testing.T) {
	for _, word := range []string{"version", "--version"} {
		code, out, stderr := tool(word)
		assert.Zero(t, code, word)
		assert.Regexp(t, `^downloadfs \S+ \w+/\w+ go\S+\n$`, out)
		assert.Empty(t, stderr)
	}
}

func TestOneLine(t *testing.T) {
	assert.Equal(t, "a; b; c", oneLine("a\nb\r\n\nc\n"))
	assert.Equal(t, "", oneLine(""))
}
