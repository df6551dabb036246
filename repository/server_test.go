package repository

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are a folder's content: a name ending in a slash is an empty folder.
type files map[string]string

// server is a Repository and a user to ask it, over HTTP or (url empty) by
// calling it.
type server struct {
	*Repository
	t    *testing.T
	url  string
	dir  string
	user string // name:password
}

// newServer serves content over HTTP.
func newServer(t *testing.T, cfg Config, content files) *server {
	t.Helper()
	s := newDirect(t, cfg, content)
	h := httptest.NewServer(s.Repository)
	t.Cleanup(func() { // before the Repository's
		h.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	s.url = h.URL
	return s
}

// newDirect serves content without a network, so also in virtual time.
func newDirect(t *testing.T, cfg Config, content files) *server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	writeFiles(t, cfg.Dir, content)
	if cfg.Users == nil {
		cfg.Users = []User{{Name: "admin", Password: "admin"}, {Name: "alice", Password: "secret-a"}, {Name: "bob", Password: "secret-b"}}
	}
	r, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return &server{r, t, "", cfg.Dir, "admin:admin"}
}

func writeFiles(t *testing.T, dir string, content files) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(path, 0o700))
			continue
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

// as returns the same server, asked by another user.
func (s *server) as(user string) *server {
	other := *s
	other.user = map[string]string{"alice": "alice:secret-a", "bob": "bob:secret-b", "admin": "admin:admin"}[user]
	return &other
}

// answer is what came back. err is set when the body ended early.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// do asks for a path below CoreAPI; headers are name, value, name, value.
func (s *server) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.ask(method, CoreAPI+path, body, headers...)
}

// ask is do for a path below the server.
func (s *server) ask(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if name, password, ok := strings.Cut(s.user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return s.send(req)
}

func (s *server) send(req *http.Request) answer {
	s.t.Helper()
	if s.url == "" {
		req.RequestURI = req.URL.RequestURI()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		return answer{w.Code, w.Header(), w.Body.Bytes(), nil}
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b, err}
}

// requireError asserts that a is Alfresco's error body of the status.
func (a answer) requireError(t *testing.T, status int) errorJSON {
	t.Helper()
	require.Equal(t, status, a.status, string(a.body))
	require.Equal(t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
	var e errorBody
	require.NoError(t, json.Unmarshal(a.body, &e), string(a.body))
	require.Equal(t, status, e.Error.StatusCode)
	require.Regexp(t, `^\d{8} .`, e.Error.BriefSummary)
	require.NotEmpty(t, e.Error.ErrorKey)
	require.NotEmpty(t, e.Error.LogID)
	return e.Error
}

// entry decodes {"entry": …} into v.
func (a answer) entry(t *testing.T, v any) {
	t.Helper()
	var e struct {
		Entry json.RawMessage `json:"entry"`
	}
	require.NoError(t, json.Unmarshal(a.body, &e), string(a.body))
	require.NoError(t, json.Unmarshal(e.Entry, v), string(a.body))
}

// nodes is the body that asks for a download of the ids.
func nodes(ids ...string) string {
	b, _ := json.Marshal(map[string][]string{"nodeIds": append([]string{}, ids...)})
	return string(b)
}

// dirEntries are the names in a folder on disk.
func dirEntries(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (s *server) create(ids ...string) progressJSON {
	s.t.Helper()
	a := s.do("POST", "/downloads", nodes(ids...))
	require.Equal(s.t, http.StatusAccepted, a.status, string(a.body))
	var p progressJSON
	a.entry(s.t, &p)
	return p
}

func (s *server) get(id string) progressJSON {
	s.t.Helper()
	a := s.do("GET", "/downloads/"+id, "")
	require.Equal(s.t, http.StatusOK, a.status, string(a.body))
	var p progressJSON
	a.entry(s.t, &p)
	return p
}

// await polls until the download is in the state.
func (s *server) await(id, status string) progressJSON {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		p := s.get(id)
		if p.Status == status {
			return p
		}
		require.True(s.t, time.Now().Before(end), "%s is %s and not %s", id, p.Status, status)
	}
}

// archive makes a download of the nodes at paths and returns its zip.
func (s *server) archive(paths ...string) (progressJSON, []byte) {
	s.t.Helper()
	ids := make([]string, len(paths))
	for i, p := range paths {
		ids[i] = nodeID(p)
	}
	p := s.await(s.create(ids...).ID, statusDone)
	a := s.do("GET", "/nodes/"+p.ID+"/content", "")
	require.Equal(s.t, http.StatusOK, a.status)
	require.NoError(s.t, a.err)
	return p, a.body
}

// entry is one entry of a zip.
type entry struct{ name, text string }

func unzip(t *testing.T, b []byte) []entry {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	var all []entry
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		all = append(all, entry{f.Name, string(text)})
	}
	return all
}

func queryEscape(s string) string { return url.QueryEscape(s) }

// cutCall splits "GET /path".
func cutCall(s string) (method, path string, ok bool) { return strings.Cut(s, " ") }
