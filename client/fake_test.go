package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	root       = "/alfresco/api/-default-/public/alfresco/versions/1"
	ticketsURL = "/alfresco/api/-default-/public/authentication/versions/1/tickets"
	testID     = "0f7e5a0c-3f0e-4f0a-8d5e-7d1d3b8f1a11"
)

// server is a scripted HTTP server that logs every request and knows nothing
// of its own but the tickets API.
type server struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests []string // "METHOD path?query"
	handle   http.HandlerFunc
}

// newServer starts a server that answers with handle, after giving tickets.
func newServer(t *testing.T, handle http.HandlerFunc) *server {
	s := &server{t: t, handle: handle}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	// A request's context ends with the client only after the body was read.
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), root))
	handle := s.handle
	s.mu.Unlock()
	if r.URL.Path == ticketsURL {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"entry":{"id":"TICKET_0123456789abcdef","userId":"admin"}}`)
		return
	}
	handle(w, r)
}

// seen returns the requests so far but for logins.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var seen []string
	for _, r := range s.requests {
		if !strings.Contains(r, "/tickets") {
			seen = append(seen, r)
		}
	}
	return seen
}

// testConfig is for a server on this machine, with times fit for a test.
func testConfig(url string) Config {
	return Config{
		URL: url, Username: "admin", Password: "pa55word!",
		RequestTimeout: 5 * time.Second, IdleTimeout: 2 * time.Second, MaxElapsed: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// The ways to log in. useBasic is the state after a server showed that it has no
// tickets.
const (
	useTicket = "ticket"
	useBasic  = "basic"
)

// logIn makes c log in in one of these ways.
func logIn(c *Client, way string) *Client {
	if way == useBasic {
		c.auth.cred = credential{ready: true, header: basicAuth(c.auth.user + ":" + c.auth.password())}
	}
	return c
}

// entry writes {"entry": v} with a status.
func entry(w http.ResponseWriter, code int, v map[string]any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"entry": v})
}

// refuse writes an error as Alfresco does.
func refuse(w http.ResponseWriter, code int, summary string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"errorKey": "framework.exception", "statusCode": code, "briefSummary": summary,
		"stackTrace": "For security reasons the stack trace is no longer displayed", "descriptionURL": "https://api-explorer.alfresco.com",
	}})
}

func downloadEntryOf(status string) map[string]any {
	return map[string]any{"id": testID, "status": status, "bytesAdded": 1, "totalBytes": 2, "filesAdded": 3, "totalFiles": 4}
}

// serverOf starts a server that scripts the tickets API too, and returns its URL.
func serverOf(t *testing.T, h http.Handler) string {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
