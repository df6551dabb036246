package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/ports"
)

// The accounts of a test server. Admin is the administrator.
const (
	AdminName, AdminPassword = "admin", "admin-Secret-6f1c"
	UserName, UserPassword   = "finn", "finn-Secret-90ab"
)

// PasswordOf returns the password of an account of a test server.
func PasswordOf(name string) string {
	return map[string]string{AdminName: AdminPassword, UserName: UserPassword}[name]
}

// Server is a running downloadfs serve.
type Server struct {
	*daemon
	URL  string
	Dir  string // the folder it serves
	temp string // where it keeps its zips without --data-dir; empty: the usual place
	args []string
}

// StartServer serves dir on a free port of the loopback address, with flags added.
// The rates in flags are for a machine that is not slow. The server ends with the
// test.
func StartServer(t testing.TB, dir string, flags ...string) *Server {
	t.Helper()
	return StartServerIn(t, "", dir, flags...)
}

// StartServerIn is StartServer with a directory for the zips, which the server does not
// sync there, other than with --data-dir.
func StartServerIn(t testing.TB, temp, dir string, flags ...string) *Server {
	t.Helper()
	s := &Server{Dir: dir, temp: temp, args: slower(flags)}
	s.start(t, ports.Free(t))
	t.Cleanup(func() {
		s.Stop(t)
		s.Log.check(t, "serve")
	})
	return s
}

// slower divides the rates in flags. On a slow machine, what a test looks at is then
// not over before the test gets to look.
func slower(flags []string) []string {
	flags = slices.Clone(flags)
	for i := range flags[:max(len(flags)-1, 0)] {
		if flags[i] != "--archive-rate" && flags[i] != "--content-rate" {
			continue
		}
		digits := strings.TrimRight(flags[i+1], "kKMG")
		rate, err := strconv.Atoi(digits)
		if err != nil {
			panic("harness: a rate that cannot be divided: " + flags[i+1])
		}
		for _, unit := range flags[i+1][len(digits):] {
			rate *= map[rune]int{'k': 1 << 10, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[unit]
		}
		if rate > 0 {
			flags[i+1] = strconv.Itoa(max(rate/int(slow), 1))
		}
	}
	return flags
}

func (s *Server) start(t testing.TB, addr string) {
	t.Helper()
	args := append([]string{"serve", "--log-format", "json", "--listen", addr}, s.args...)
	env := []string{"DOWNLOADFS_SERVE_USERS=" + AdminName + ":" + AdminPassword + " " + UserName + ":" + UserPassword}
	if s.temp != "" {
		env = append(env, "TMPDIR="+s.temp)
	}
	d, failure := startDaemon(t, Binary(), User{}, env, append(args, s.Dir), false)
	require.Nil(t, failure, "serve ended: %+v", failure)
	s.daemon = d
	_, s.URL, _ = strings.Cut(d.ready, " on ")
	require.NotEmpty(t, s.URL, d.ready)
	// The server logs as a warning what the API hides from its callers. Many tests
	// are about exactly that.
	s.Log.Allow(`"level":"WARN"`)
}

// Stop ends the server, which must end at once.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.Running() {
		return
	}
	s.Signal(t, syscall.SIGTERM)
	if !s.await(Scaled(5 * time.Second)) {
		t.Errorf("serve did not end within 5s of SIGTERM; its log:\n%s", s.Log.Text())
		s.kill(t, syscall.SIGQUIT)
	}
}

// Kill ends the server as a crash would.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.kill(t, syscall.SIGKILL)
}

// Restart starts the server again on the same port, after Stop or Kill. With the flag
// --data-dir it still knows its downloads.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	s.start(t, u.Host)
}

// Do makes a request as the administrator for a path below the server's root. It
// returns the status and the body.
func (s *Server) Do(t testing.TB, method, path string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth(AdminName, AdminPassword)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, answer
}

// Core makes a request to the core API, for a path such as "/downloads/…".
func (s *Server) Core(t testing.TB, method, path string, body []byte) (int, []byte) {
	t.Helper()
	return s.Do(t, method, "/alfresco/api/-default-/public/alfresco/versions/1"+path, body)
}

// NodeID returns the id of the node at path in the served folder.
func (s *Server) NodeID(t testing.TB, path string) string {
	t.Helper()
	code, body := s.Core(t, "GET", "/nodes/-root-?relativePath="+url.QueryEscape(path), nil)
	require.Equal(t, http.StatusOK, code, "%s: %s", path, body)
	var answer struct{ Entry struct{ ID string } }
	require.NoError(t, json.Unmarshal(body, &answer))
	return answer.Entry.ID
}

// Status returns a download's state according to the server, "" when it is gone.
func (s *Server) Status(t testing.TB, id string) string {
	t.Helper()
	code, body := s.Core(t, "GET", "/downloads/"+id, nil)
	if code == http.StatusNotFound {
		return ""
	}
	require.Equal(t, http.StatusOK, code, "%s", body)
	var answer struct{ Entry struct{ Status string } }
	require.NoError(t, json.Unmarshal(body, &answer))
	return answer.Entry.Status
}

// Stats returns the server's own counters by name.
func (s *Server) Stats(t testing.TB) map[string]any {
	t.Helper()
	code, body := s.Do(t, "GET", "/-/stats", nil)
	require.Equal(t, http.StatusOK, code, "%s", body)
	var stats map[string]any
	require.NoError(t, json.Unmarshal(body, &stats))
	return stats
}

// Tree writes files to dir. files maps paths to content. A path that ends in a slash
// is an empty folder.
func Tree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		full := filepath.Join(dir, path)
		if strings.HasSuffix(path, "/") {
			require.NoError(t, os.MkdirAll(full, 0o755))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
}

// Noise returns n bytes that cannot be compressed. The same seed gives the same
// bytes.
func Noise(seed uint64, n int) string {
	b := make([]byte, 0, n+8)
	for x := seed*0x9e3779b97f4a7c15 + 1; len(b) < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = append(b, byte(x), byte(x>>8), byte(x>>16), byte(x>>24), byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56))
	}
	return string(b[:n])
}

// Samples makes a folder for a server: a few documents in a site, and one in each
// user's home.
func Samples(t testing.TB) string {
	t.Helper()
	dir := Dir(t, User{})
	files := map[string]string{
		"Sites/press/documentLibrary/report.txt":             strings.Repeat("All is well.\n", 1000),
		"Sites/press/documentLibrary/Überblick 2026 Q3.txt":  "Grüße\n",
		"Sites/press/documentLibrary/empty.txt":              "",
		"User Homes/" + UserName + "/mine.txt":               "for finn only\n",
		"User Homes/" + AdminName + "/admin.txt":             "for the administrator only\n",
		"Sites/press/documentLibrary/photos/none here/":      "",
		"Sites/press/documentLibrary/photos/2026/readme.txt": "no photo\n",
	}
	for i := range 8 {
		files[fmt.Sprintf("Sites/press/documentLibrary/photos/photo-%d.jpg", i)] = Noise(uint64(i), 200_000)
	}
	Tree(t, dir, files)
	return dir
}
