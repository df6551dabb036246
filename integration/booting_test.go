package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// booting is a server on its way up. What is in front of it answers in its place.
type booting struct {
	code atomic.Int64 // of that; 0: the server is there
	url  string
}

func startBooting(t testing.TB, s *harness.Server, code int64) *booting {
	back, err := url.Parse(s.URL)
	require.NoError(t, err)
	b, proxy := new(booting), httputil.NewSingleHostReverseProxy(back)
	b.code.Store(code)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(b.code.Load()); code != 0 {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			fmt.Fprintf(w, "<!doctype html><html><body><h1>%d</h1></body></html>", code)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	b.url = front.URL
	return b
}

// What is known here is of use whatever answers in the server's place, and the mount
// goes on when the server is there.
// Proves S-151.
func TestMountBehindAPortal(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	front := startBooting(t, s, 0)
	m := harness.StartMount(t, s, harness.MountOptions{URL: front.url, Flags: []string{"--retry-timeout", shortBudget}, Allow: []string{`"level":"WARN"`}})
	id := m.Create(t, s.NodeID(t, photos))
	sum := m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	for _, code := range []int64{200, 403, 404} {
		m.Unmount(t)
		front.code.Store(code)
		m.Remount(t)
		assert.Equal(t, []string{id}, m.List(t), code)
		assert.Equal(t, sum, m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t), code)
		front.code.Store(0)
		another := m.Create(t, s.NodeID(t, photos))
		m.Sh(t, "cat "+another+"/archive.zip >/dev/null && rm -r "+another).OK(t)
	}
}
