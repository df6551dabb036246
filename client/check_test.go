package client

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestCheck(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		entry(w, 200, map[string]any{"id": "root-1"})
	})
	require.NoError(t, newClient(t, testConfig(srv.URL)).Check(t.Context()))
	require.Equal(t, []string{"GET /nodes/-root-?fields=id"}, srv.seen())
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	page := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(code)
			fmt.Fprint(w, "<html>Welcome</html>")
		}
	}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		want   error
		says   string
	}{
		"a web server": {page(200), download.ErrProtocol, "check the server URL"},
		"no such path": {page(404), download.ErrUnavailable, "404"},
		"bad request":  {page(400), download.ErrProtocol, "400"},
		"not allowed":  {page(405), download.ErrProtocol, ""},
		"other JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"hello":"world"}`) }, download.ErrProtocol, "check the server URL"},
		"JSON array":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[1]`) }, download.ErrProtocol, "check the server URL"},
		"nothing":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, download.ErrProtocol, ""},
		"single sign-on": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.org/login?x=1", http.StatusFound)
		}, download.ErrUnauthorized, "sso.example.org"},
		"login refused": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "no") }, download.ErrUnauthorized, ""},
		"forbidden":     {page(403), download.ErrUnavailable, "403"},
		"bad gateway":   {page(502), download.ErrUnavailable, "502"},
		"unavailable":   {page(503), download.ErrUnavailable, "503"},
		"a defect":      {page(500), download.ErrUnavailable, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(newServer(t, c.handle).URL)
			cfg.MaxElapsed = 400 * time.Millisecond
			err := newClient(t, cfg).Check(t.Context())
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.says)
			require.Less(t, len(err.Error()), 400)
		})
	}
}

// A user may be unable to read Company Home and yet use downloads of nodes below it. A
// wrong password is another matter.
func TestCheckWhereTheRootIsForbidden(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 403, "07110001 Permission was denied")
	})
	require.NoError(t, newClient(t, testConfig(srv.URL)).Check(t.Context()))

	for _, code := range []int{401, 403} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, code, "07110002 Login failed")
		}))
		defer srv.Close()
		require.ErrorIs(t, newClient(t, testConfig(srv.URL)).Check(t.Context()), download.ErrUnauthorized)
	}
}

func TestCheckUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	cfg := testConfig("http://" + addr)
	cfg.MaxElapsed = 300 * time.Millisecond
	err = newClient(t, cfg).Check(t.Context())
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, addr)
}

// Something that is no web server at all, such as ssh.
func TestCheckNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.2\r\n")
			conn.Close()
		}
	}()
	start := time.Now()
	err = newClient(t, testConfig("http://"+l.Addr().String())).Check(t.Context())
	require.ErrorIs(t, err, download.ErrProtocol)
	require.ErrorContains(t, err, "HTTP")
	require.Less(t, time.Since(start), 4*time.Second, "not tried again")
}

// A person may give the address of an application that is not Alfresco's own. The
// server is at another path of the same host.
// Proves S-115.
func TestCheckFindsAServerNearby(t *testing.T) {
	var shown bool
	srv := serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ecm/alfresco/api/-default-/public/") {
			shown = shown || r.Header.Get("Authorization") != ""
			refuse(w, 401, "07110002 Login required")
			return
		}
		w.Header().Set("Content-Type", "text/html") // an application that answers with itself to everything
		fmt.Fprint(w, "<html>Welcome</html>")
	}))
	err := newClient(t, testConfig(srv+"/ecm/our-app/start")).Check(t.Context())
	require.ErrorIs(t, err, download.ErrProtocol)
	require.ErrorContains(t, err, "there is an Alfresco server at "+srv+"/ecm; give that address")
	require.False(t, shown, "it was told a login")

	err = newClient(t, testConfig(srv+"/other/app")).Check(t.Context())
	require.ErrorIs(t, err, download.ErrProtocol)
	require.NotContains(t, err.Error(), "give that address")
}

// A proxy in front of a starting server answers in its place.
// Proves S-103, S-158.
func TestCheckWhileTheServerStarts(t *testing.T) {
	for _, code := range []int{403, 404} {
		var requests atomic.Int64
		srv := serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case requests.Add(1) <= 4:
				http.Error(w, "not here", code)
			case strings.HasSuffix(r.URL.Path, "/tickets"):
				entry(w, 201, map[string]any{"id": "TICKET_x", "userId": "admin"})
			default:
				entry(w, 200, map[string]any{"id": "root-1"})
			}
		}))
		require.NoError(t, newClient(t, testConfig(srv)).Check(t.Context()), code)
	}
}
