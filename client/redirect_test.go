package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestRedirectOnTheSameServerKeepsTheLogin(t *testing.T) {
	var auth []string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		auth = append(auth, r.Header.Get("Authorization"))
		if strings.HasPrefix(r.URL.Path, root) {
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
			return
		}
		entry(w, 200, downloadEntryOf("DONE"))
	})
	require.NoError(t, get(t, newClient(t, testConfig(srv.URL))))
	require.Len(t, auth, 2)
	require.NotEmpty(t, auth[0])
	require.Equal(t, auth[0], auth[1])
}

// Proves S-67.
func TestRedirectToAnotherHostIsRefused(t *testing.T) {
	var mu sync.Mutex
	var met []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		met = append(met, r.Method+" "+r.Header.Get("Authorization"))
		entry(w, 200, downloadEntryOf("DONE"))
	}))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path+"?alf_ticket=TICKET_abc", code)
		})
		c := newClient(t, testConfig(srv.URL))
		a := download.ArchiveInfo{ID: testID, Size: 10}
		_, create := c.Create(t.Context(), []download.NodeID{"a"})
		_, stream := c.Stream(t.Context(), a, 0, 10)
		for _, err := range []error{get(t, c), c.Delete(t.Context(), testID), create, stream} {
			require.ErrorIs(t, err, download.ErrProtocol)
			require.ErrorContains(t, err, strings.TrimPrefix(other.URL, "http://"))
			require.NotContains(t, err.Error(), "TICKET")
			require.NotContains(t, err.Error(), "alf_ticket")
		}
		require.Len(t, srv.seen(), 4, "nothing is sent again")
	}
	require.Empty(t, met)
}

func TestRedirectOfAPostOrDeleteIsNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", code)
		})
		c := newClient(t, testConfig(srv.URL))
		_, err := c.Create(t.Context(), []download.NodeID{"a"})
		require.ErrorIs(t, err, download.ErrProtocol)
		require.ErrorContains(t, err, "/elsewhere")
		require.ErrorIs(t, c.Delete(t.Context(), testID), download.ErrProtocol)
		require.Len(t, srv.seen(), 2)
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	n := 0
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		http.Redirect(w, r, fmt.Sprintf("/round/%d", n), http.StatusFound)
	})
	err := get(t, newClient(t, testConfig(srv.URL)))
	require.ErrorIs(t, err, download.ErrProtocol)
	require.ErrorContains(t, err, "circle")
	require.Equal(t, 1+maxRedirects, n)
}

func TestRedirectWithoutAnAddress(t *testing.T) {
	for _, location := range []string{"", "http://[::1", "\x7f"} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(302)
		})
		err := get(t, newClient(t, testConfig(srv.URL)))
		require.ErrorIs(t, err, download.ErrProtocol, "%q", location)
		// At most once more: on a connection that was used before, garbled bytes
		// may be left over from another answer.
		require.LessOrEqual(t, len(srv.seen()), 2)
	}
}

func TestCheckRedirect(t *testing.T) {
	c := newClient(t, testConfig("https://ecm.example.org"))
	for to, says := range map[string]string{
		"https://ecm.example.org/x":            "",
		"https://ECM.example.org:443/x":        "",
		"http://ecm.example.org/x":             "from https",
		"https://ecm.example.org:8443/x":       "the login is for",
		"https://sub.ecm.example.org/x":        "the login is for",
		"https://example.org/x":                "the login is for",
		"https://bob:sesame@ecm.example.org/x": "the login is for",
		"ftp://ecm.example.org/x":              "from https",
	} {
		u, err := url.Parse(to)
		require.NoError(t, err)
		from := httptest.NewRequest("GET", "https://ecm.example.org/alfresco", nil)
		err = c.checkRedirect(&http.Request{Method: "GET", URL: u}, []*http.Request{from})
		if says == "" {
			require.NoError(t, err, to)
			continue
		}
		require.ErrorIs(t, err, download.ErrProtocol, to)
		require.ErrorContains(t, err, says, to)
		require.NotContains(t, err.Error(), "sesame")
	}
	plain, _ := url.Parse("http://ecm.example.org/")
	tls, _ := url.Parse("https://ecm.example.org/")
	require.True(t, sameServer(plain, tls), "to TLS on the same host is no loss")
}
