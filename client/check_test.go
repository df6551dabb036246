package client

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
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
		"a web server": {page(200), download.ErrProtocol, "Alfresco server"},
		"no such path": {page(404), download.ErrProtocol, "404"},
		"bad request":  {page(400), download.ErrProtocol, "400"},
		"not allowed":  {page(405), download.ErrProtocol, ""},
		"other JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"hello":"world"}`) }, download.ErrProtocol, "Alfresco server"},
		"JSON array":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[1]`) }, download.ErrProtocol, "Alfresco server"},
		"nothing":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, download.ErrProtocol, ""},
		"single sign-on": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.org/login?x=1", http.StatusFound)
		}, download.ErrProtocol, "sso.example.org"},
		"login refused": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "no") }, download.ErrUnauthorized, ""},
		"forbidden":     {page(403), download.ErrForbidden, "403"},
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

// A user may be kept from reading Company Home and yet use the downloads of what
// lies below it. A wrong password is another matter.
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
