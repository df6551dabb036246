package repository

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStats(t *testing.T) {
	s := newServer(t, Config{}, files{"a": "aaaa"})
	require.Zero(t, s.Stats())
	a := nodeID("a")
	p := s.create(a)
	s.do("GET", "/downloads/"+p.ID, "")
	s.do("DELETE", "/downloads/"+p.ID, "")
	s.do("GET", "/nodes/"+a, "")
	s.do("GET", "/nodes/"+a, "", "Authorization", "")
	s.do("GET", "/nodes/-root-/children", "")
	s.do("GET", "/nodes/"+a+"/content", "")
	s.do("GET", "/nodes/"+a+"/content", "", "Range", "bytes=1-2")
	s.do("GET", "/nodes/"+a+"/content", "", "Range", "bytes=9-")
	s.do("DELETE", "/nodes/"+p.ID, "")
	s.login("alice", "secret-a")
	s.do("GET", "/people/-me-", "")
	s.do("GET", "/nowhere", "")
	want := Stats{Total: 13, Create: 1, Get: 1, Cancel: 1, Node: 2, Children: 1, Content: 3, Delete: 1, Ticket: 1, Other: 2,
		ContentBytes: 6, Unauthorized: 1}
	require.Equal(t, want, s.Stats())

	got := s.ask("GET", "/-/stats", "", "Authorization", "")
	require.Equal(t, 200, got.status)
	var stats Stats
	require.NoError(t, json.Unmarshal(got.body, &stats))
	require.Equal(t, want, stats, "asking is not counted")
}

// The counts are for callers on this machine only.
func TestStatsFromElsewhere(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	for addr, status := range map[string]int{"127.0.0.1:1": 200, "[::1]:1": 200, "192.0.2.1:1": 404, "": 404, "x:1": 404} {
		r := httptest.NewRequest(http.MethodGet, "/-/stats", nil)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, addr)
	}
}
