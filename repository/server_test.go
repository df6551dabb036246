package repository

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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

// server is a Repository behind a real HTTP server, and a user to ask it.
type server struct {
	*Repository
	t    *testing.T
	url  string
	dir  string
	user string // name:password
}

func newServer(t *testing.T, cfg Config, content files) *server {
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
	h := httptest.NewServer(r)
	t.Cleanup(func() {
		h.Close()
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, r.Close())
	})
	return &server{r, t, h.URL, cfg.Dir, "admin:admin"}
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
	req, err := http.NewRequest(method, s.url+CoreAPI+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if name, password, ok := strings.Cut(s.user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.send(req)
}

func (s *server) send(req *http.Request) answer {
	s.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b, err}
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

func (s *server) id(path string) string { return nodeID(path) }

func (s *server) create(ids ...string) progressJSON {
	s.t.Helper()
	body, err := json.Marshal(map[string][]string{"nodeIds": ids})
	require.NoError(s.t, err)
	a := s.do("POST", "/downloads", string(body))
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
