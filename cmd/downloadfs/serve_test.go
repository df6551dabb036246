package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/repository"
)

// What serve could only do with harm it refuses, in one line that says what to
// do instead.
// Proves S-92, S-95.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{filepath.Dir(os.TempDir()), exitUsage, []string{"in the folder that is served", "--data-dir", "TMPDIR"}},
		{"--data-dir " + dir + "/data " + dir, exitUsage, []string{"in the folder that is served", dir + "/data", "--data-dir"}},
		{"--listen 0.0.0.0:0 " + dir, exitUsage, []string{"admin:admin", "0.0.0.0:0", "--user", envServeUsers}},
		{"--listen :0 " + dir, exitUsage, []string{"admin:admin", "--user"}},
		{"--listen :0 --user finn:secret " + dir + "/missing", exitOther, []string{"cannot serve"}},
		{"--listen localhost:0 " + dir + "/missing", exitOther, []string{"cannot serve"}},
		{dir + "/missing", exitOther, []string{"cannot serve " + dir + "/missing"}},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, strings.Fields(c.args)...) // the last --listen counts
		assert.Equal(t, c.code, run(args, &stdout, &stderr), "%s: %s", c.args, &stderr)
		assert.Empty(t, stdout.String(), c.args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s: %s", c.args, &stderr)
		for _, want := range c.want {
			assert.Contains(t, stderr.String(), want, c.args)
		}
	}
}

// pipeListener accepts connections in memory, for virtual time.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// servePipe serves a file of 600,000 bytes, at 1000 bytes a second, to the
// returned connection, in the bubble of the caller.
func servePipe(t *testing.T) net.Conn {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), make([]byte, 600_000), 0o600))
	repo, err := repository.New(repository.Config{Dir: dir, ContentRate: 1000})
	require.NoError(t, err)
	l := make(pipeListener)
	server := serveHTTP(l, repo, slog.New(slog.DiscardHandler))
	here, there := net.Pipe()
	require.NoError(t, here.SetDeadline(time.Now().Add(time.Hour)))
	l <- there
	t.Cleanup(func() {
		assert.NoError(t, server.close())
		assert.NoError(t, repo.Close())
		assert.NoError(t, here.Close())
	})
	return here
}

// A client that announces a body and does not send it loses the connection, with
// or without a login.
// Proves S-94.
func TestRequestsEnd(t *testing.T) {
	for _, c := range []string{
		"POST " + repository.AuthAPI + "/tickets|Content-Length: 10",
		"POST " + repository.AuthAPI + "/tickets|Transfer-Encoding: chunked",
		"POST " + repository.CoreAPI + "/downloads|Content-Length: 10",
		"POST " + repository.CoreAPI + "/downloads|Content-Length: 10\r\nAuthorization: Basic YWRtaW46YWRtaW4=",
		"GET " + repository.CoreAPI + "/nodes/-root-|Content-Length: 10",
		"GET /-/stats|Content-Length: 10",
	} {
		t.Run(c, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := servePipe(t)
				begun := time.Now()
				line, headers, _ := strings.Cut(c, "|")
				_, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", line, headers)
				require.NoError(t, err)
				_, err = io.ReadAll(conn)
				require.NoError(t, err)
				require.InDelta(t, requestTimeout.Seconds(), time.Since(begun).Seconds(), 1)
			})
		})
	}
}

// The time for a request does not count for its answer.
// Proves S-94.
func TestLongAnswer(t *testing.T) {
	for _, body := range []string{"", "to be ignored"} {
		synctest.Test(t, func(t *testing.T) {
			conn := servePipe(t)
			answers := bufio.NewReader(conn)
			ask := func(path, body string) *http.Response {
				t.Helper()
				req, err := http.NewRequest("GET", "http://h"+repository.CoreAPI+path, strings.NewReader(body))
				require.NoError(t, err)
				req.SetBasicAuth("admin", "admin")
				require.NoError(t, req.Write(conn))
				resp, err := http.ReadResponse(answers, req)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				return resp
			}
			var node struct{ Entry struct{ ID string } }
			require.NoError(t, json.NewDecoder(ask("/nodes/-root-?relativePath=a", "").Body).Decode(&node))
			begun := time.Now()
			n, err := io.Copy(io.Discard, ask("/nodes/"+node.Entry.ID+"/content", body).Body)
			require.NoError(t, err)
			require.EqualValues(t, 600_000, n)
			require.InDelta(t, 600, time.Since(begun).Seconds(), 1)
		})
	}
}
