package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/repository"
)

// front is a reverse proxy that answers 404 in its own words while the server
// behind it is away, and then lets everything through.
func front(t *testing.T, back http.Handler) (url string, away *atomic.Bool) {
	away = new(atomic.Bool)
	away.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		back.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, away
}

// Proves S-103.
func TestNotFoundWhileTheServerIsAway(t *testing.T) {
	g := &gate{password: "pa55word!"}
	url, away := front(t, g)
	cfg := testConfig(url)
	cfg.MaxElapsed = 300 * time.Millisecond
	c := newClient(t, cfg)
	for call, err := range everyCall(t.Context(), c) {
		require.ErrorIs(t, err, download.ErrUnavailable, call)
		require.NotErrorIs(t, err, download.ErrNotFound, call)
	}

	// When the server is back, nothing of the outage is left: there is one login, and
	// the requests carry no password.
	away.Store(false)
	require.NoError(t, get(t, c))
	logins, basics := g.counts()
	require.Equal(t, 1, logins)
	require.Zero(t, basics)

	cfg.MaxElapsed = 20 * time.Second
	c = newClient(t, cfg)
	away.Store(true)
	time.AfterFunc(300*time.Millisecond, func() { away.Store(false) })
	_, err := c.Create(t.Context(), []download.NodeID{"a"})
	require.NoError(t, err, "what nobody took can be sent again")
}

// A proxy that replaces the server's pages by its own leaves the status alone.
func TestNotFoundInAProxysWords(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "-root-") && !r.URL.Query().Has("relativePath") {
			entry(w, 200, map[string]any{"id": "root-1"})
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(404)
		fmt.Fprint(w, "<html>gone</html>")
	})
	for call, err := range everyCall(t.Context(), newClient(t, testConfig(srv.URL))) {
		if call == "check" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, download.ErrNotFound, call)
	}
}

// The root may be closed to the user, but not in a proxy's words.
func TestNotFoundWhereTheRootIsForbidden(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "-root-") {
			refuse(w, 403, "07110001 Permission was denied")
			return
		}
		http.Error(w, "404 page not found", 404)
	})
	require.ErrorIs(t, get(t, newClient(t, testConfig(srv.URL))), download.ErrNotFound)
}

func TestNotFoundInAlfrescosWordsNeedsNoSecondLook(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 404, "07110001 The entity with id: x was not found")
	})
	require.ErrorIs(t, get(t, newClient(t, testConfig(srv.URL))), download.ErrNotFound)
	require.Len(t, srv.seen(), 1)
}

func TestPatience(t *testing.T) {
	p := patience(time.Minute)
	var got []time.Duration
	for range 6 {
		got = append(got, p.next())
	}
	require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}, got)
	long := patience(time.Hour) // never less than what was set
	require.Equal(t, time.Hour, long.next())
	require.Equal(t, time.Hour, long.next())
}

// A server that is slow with its answer gets it through in the end.
func TestSlowAnswersAreWaitedForLonger(t *testing.T) {
	content, a := archiveOf(1000)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
		if strings.HasSuffix(r.URL.Path, "/content") {
			serveRange(w, r, content)
			return
		}
		entry(w, 200, downloadEntryOf("DONE"))
	})
	cfg := testConfig(srv.URL)
	cfg.RequestTimeout, cfg.IdleTimeout, cfg.MaxElapsed = 150*time.Millisecond, 150*time.Millisecond, 20*time.Second
	c := newClient(t, cfg)
	require.NoError(t, get(t, c))
	rc, err := c.Stream(t.Context(), a, 0, 10)
	require.NoError(t, err)
	rc.Close()
	require.GreaterOrEqual(t, len(srv.seen()), 4, "earlier attempts were given up")
}

// A gateway lets nobody through for a while: that says nothing of the download.
// Proves S-103.
func TestForbiddenInAGatewaysWords(t *testing.T) {
	srv := serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Access denied", 403) }))
	cfg := testConfig(srv)
	cfg.MaxElapsed = 300 * time.Millisecond
	for call, err := range everyCall(t.Context(), newClient(t, cfg)) {
		require.ErrorIs(t, err, download.ErrUnavailable, call)
	}
	// An answer that only this request gets is believed.
	some := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "-root-") {
			entry(w, 200, map[string]any{"id": "root-1"})
			return
		}
		http.Error(w, "Access denied", 403)
	})
	require.ErrorIs(t, get(t, newClient(t, testConfig(some.URL))), download.ErrForbidden)
}

// What is not there is named once, without the words of the API, and with advice.
// Proves S-237.
func TestNotFoundSaysWhat(t *testing.T) {
	r := newRepo(t, repository.Config{})
	c := r.client(t)
	_, err := c.Resolve(t.Context(), "/Sites/press/nope")
	require.ErrorIs(t, err, download.ErrNotFound)
	require.EqualError(t, err, "/Sites/press/nope was not found on the server, or this user may not see it; check the path")

	report, err := c.Resolve(t.Context(), library+"My report + 100%.txt")
	require.NoError(t, err)
	const unknown = "00000000-0000-4000-8000-000000000000"
	for _, nodes := range [][]download.NodeID{{unknown}, {report, unknown}} {
		_, err = c.Create(t.Context(), nodes)
		require.ErrorIs(t, err, download.ErrNotFound)
		require.EqualError(t, err, "node "+unknown+" was not found on the server, or this user may not see it; check the id")
	}
}
