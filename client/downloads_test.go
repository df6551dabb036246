package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestCreate(t *testing.T) {
	var body string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		entry(w, http.StatusAccepted, downloadEntryOf("PENDING"))
	})
	c := newClient(t, testConfig(srv.URL))
	p, err := c.Create(t.Context(), []download.NodeID{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, download.Progress{ID: testID, Status: download.StatusPending,
		BytesAdded: 1, TotalBytes: 2, FilesAdded: 3, TotalFiles: 4}, p)
	require.JSONEq(t, `{"nodeIds":["a","b"]}`, body)
	require.Equal(t, []string{"POST /downloads"}, srv.seen())

	_, err = c.Create(t.Context(), nil)
	require.ErrorIs(t, err, download.ErrInvalid)
}

// TestCreateIsNeverSentTwiceBlindly counts what reaches the server.
func TestCreateIsNeverSentTwiceBlindly(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			fmt.Fprint(w, "<html>")
		}
	}
	own := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, "07110001 no") }
	}
	accepted := func(w http.ResponseWriter, _ *http.Request) { entry(w, 202, downloadEntryOf("PENDING")) }
	for name, c := range map[string]struct {
		first http.HandlerFunc // later requests are accepted
		want  error            // nil: created, with the second request
	}{
		"connection broke": {abort, download.ErrUncertain},
		"answer cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			w.WriteHeader(202)
			fmt.Fprint(w, `{"entry":`)
		}, download.ErrUncertain},
		"408":            {status(408), download.ErrUncertain},
		"500 a proxy's":  {status(500), download.ErrUncertain},
		"500 Alfresco's": {own(500), download.ErrServerFailed},
		"502":            {status(502), download.ErrUncertain},
		"503":            {status(503), download.ErrUncertain},
		"503 come back":  {status(503, "Retry-After", "0"), nil},
		"503 Alfresco's": {own(503), nil},
		"504":            {status(504), download.ErrUncertain},
		"429":            {status(429), nil},
		"429 come back":  {status(429, "Retry-After", "0"), nil},
		"409":            {own(409), download.ErrConflict},
		"409 come back":  {status(409, "Retry-After", "0"), download.ErrConflict},
		"412":            {own(412), download.ErrArchived},
		"a web page":     {status(200), download.ErrProtocol},
		"an answer of another": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"entry":{"id":"../../etc","status":"PENDING"}}`)
		}, download.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			n := 0
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				n++
				first := n == 1
				mu.Unlock()
				if first {
					c.first(w, r)
					return
				}
				accepted(w, r)
			})
			p, err := newClient(t, testConfig(srv.URL)).Create(t.Context(), []download.NodeID{"a"})
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, download.ID(testID), p.ID)
				require.Len(t, srv.seen(), 2)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.Equal(t, c.want == download.ErrUncertain, strings.Contains(err.Error(), "ask again"), err.Error())
			require.Len(t, srv.seen(), 1)
		})
	}
}

// With a kept connection that the server is just closing, nobody could know whether it
// accepted a request. Each Create therefore has a new one.
func TestCreateHasItsOwnConnection(t *testing.T) {
	var mu sync.Mutex
	conns := map[string][]string{}
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr] = append(conns[r.RemoteAddr], r.Method)
		mu.Unlock()
		entry(w, 200, downloadEntryOf("PENDING"))
	})
	c := newClient(t, testConfig(srv.URL))
	for range 3 {
		require.NoError(t, get(t, c))
		_, err := c.Create(t.Context(), []download.NodeID{"a"})
		require.NoError(t, err)
	}
	require.Len(t, conns, 4, "three, and one that all others share")
	for _, methods := range conns {
		if methods[0] == "POST" {
			require.Len(t, methods, 1)
		}
	}
}

func TestCreateCancelledAfterItWasSent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient(t, testConfig(srv.URL)).Create(ctx, []download.NodeID{"a"})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, download.ErrUncertain)
}

func TestCreateWaitsForAServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	cfg := testConfig("http://" + addr)
	cfg.MaxElapsed = 600 * time.Millisecond
	_, err = newClient(t, cfg).Create(t.Context(), []download.NodeID{"a"})
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.NotErrorIs(t, err, download.ErrUncertain, "nothing was sent")

	cfg.MaxElapsed = 20 * time.Second
	c := newClient(t, cfg)
	time.AfterFunc(300*time.Millisecond, func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return
		}
		srv := &http.Server{Handler: http.HandlerFunc((&server{handle: func(w http.ResponseWriter, _ *http.Request) {
			entry(w, 202, downloadEntryOf("PENDING"))
		}}).serve)}
		t.Cleanup(func() { srv.Close() })
		_ = srv.Serve(l)
	})
	_, err = c.Create(t.Context(), []download.NodeID{"a"})
	require.NoError(t, err)
}

func TestGetRefusesAnotherDownload(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		e := downloadEntryOf("DONE")
		e["id"] = "another"
		entry(w, 200, e)
	})
	require.ErrorIs(t, get(t, newClient(t, testConfig(srv.URL))), download.ErrProtocol)
}

// GET and DELETE may be repeated, so they outlast trouble that passes.
func TestGetAndDeleteOutlastFaults(t *testing.T) {
	var mu sync.Mutex
	n := map[string]int{}
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n[r.Method+r.URL.Path]++
		turn := n[r.Method+r.URL.Path]
		mu.Unlock()
		switch turn {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		case 3:
			w.Header().Set("Content-Length", "500")
			fmt.Fprint(w, `{"entry"`)
		default:
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			entry(w, 200, downloadEntryOf("DONE"))
		}
	})
	cfg := testConfig(srv.URL)
	cfg.MaxElapsed = 30 * time.Second
	c := newClient(t, cfg)
	require.NoError(t, get(t, c))
	require.NoError(t, c.Delete(t.Context(), testID))
	require.NoError(t, c.Cancel(t.Context(), testID))
	require.Contains(t, srv.seen(), "DELETE /nodes/"+testID+"?permanent=true")
	require.Contains(t, srv.seen(), "DELETE /downloads/"+testID)
}

func TestSilentServerIsNotWaitedForForEver(t *testing.T) {
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cfg := testConfig(srv.URL)
	cfg.RequestTimeout, cfg.MaxElapsed = 100*time.Millisecond, 300*time.Millisecond
	c := newClient(t, cfg)
	err := get(t, c)
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's context did not end")
	require.ErrorContains(t, err, "no answer in time")
	_, err = c.Stream(t.Context(), download.ArchiveInfo{ID: testID, Size: 10}, 0, 10)
	require.ErrorIs(t, err, download.ErrUnavailable)
	_, err = c.Create(t.Context(), []download.NodeID{"a"})
	require.ErrorIs(t, err, download.ErrUncertain)
}
