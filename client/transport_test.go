package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// viaProxy returns a client whose requests all go through proxy. The environment is
// read once per process, and never for this machine.
func viaProxy(t *testing.T, target, proxy string) *Client {
	u, err := url.Parse(proxy)
	require.NoError(t, err)
	cfg := testConfig(target)
	cfg.AllowHTTP, cfg.MaxElapsed = true, 300*time.Millisecond
	c := newClient(t, cfg)
	for _, hc := range []*http.Client{c.api, c.once, c.content} {
		hc.Transport.(*http.Transport).Proxy = http.ProxyURL(u)
	}
	return c
}

func TestProxyThatWantsALogin(t *testing.T) {
	n := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	withPassword := strings.Replace(proxy.URL, "http://", "http://bob:s3same-street@", 1)
	for _, target := range []string{"https://ecm.example.org", "http://ecm.example.org"} {
		n = 0
		c := viaProxy(t, target, withPassword)
		_, err := c.Create(t.Context(), []download.NodeID{"a"})
		require.ErrorIs(t, err, download.ErrUnavailable)
		require.NotErrorIs(t, err, download.ErrUncertain)
		require.ErrorContains(t, err, "roxy", "the proxy is named")
		require.NotContains(t, err.Error(), "s3same")
		require.Equal(t, 1, n, "not tried again")
	}
}

func TestProxyThatIsNotThere(t *testing.T) {
	proxy := httptest.NewServer(http.NotFoundHandler())
	proxy.Close()
	err := viaProxy(t, "https://ecm.example.org", strings.Replace(proxy.URL, "http://", "http://bob:s3same-street@", 1)).Check(t.Context())
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "s3same")
}

func TestLoopbackIsNotProxied(t *testing.T) {
	for _, host := range []string{"http://localhost:8080", "https://127.0.0.1", "http://[::1]:80"} {
		u, err := proxyFromEnvironment(httptest.NewRequest("GET", host, nil))
		require.NoError(t, err)
		require.Nil(t, u)
	}
}

// Streams have connections of their own: calls are not queued behind them.
func TestCallsDoNotWaitForStreams(t *testing.T) {
	content, a := archiveOf(1000)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/content") {
			entry(w, 200, downloadEntryOf("DONE"))
			return
		}
		w.Header().Set("Content-Range", "bytes 0-999/1000")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(206)
		_, _ = w.Write(content[:10])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := newClient(t, testConfig(srv.URL))
	ctx, cancel := context.WithCancel(t.Context())
	for range 8 {
		rc, err := c.Stream(ctx, a, 0, a.Size)
		require.NoError(t, err)
		defer rc.Close()
	}
	require.NoError(t, get(t, c))
	cancel()
}

func BenchmarkStream(b *testing.B) {
	content, a := archiveOf(64 << 20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tickets") {
			entry(w, 201, map[string]any{"id": "TICKET_1"})
			return
		}
		serveRange(w, r, content)
	}))
	defer srv.Close()
	cfg := testConfig(srv.URL)
	c, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int{128 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("client/%dKiB", size>>10), func(b *testing.B) {
			buf := make([]byte, size)
			b.SetBytes(a.Size)
			b.ReportAllocs()
			for b.Loop() {
				rc, err := c.Stream(b.Context(), a, 0, a.Size)
				if err != nil {
					b.Fatal(err)
				}
				drain(b, rc, buf, a.Size)
				rc.Close()
			}
		})
	}
	b.Run("plain/1024KiB", func(b *testing.B) {
		buf := make([]byte, 1<<20)
		b.SetBytes(a.Size)
		for b.Loop() {
			resp, err := http.Get(srv.URL)
			if err != nil {
				b.Fatal(err)
			}
			drain(b, resp.Body, buf, a.Size)
			resp.Body.Close()
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

func drain(b *testing.B, r io.Reader, buf []byte, want int64) {
	var got int64
	for {
		n, err := r.Read(buf)
		got += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if got != want {
		b.Fatalf("%d bytes of %d", got, want)
	}
}

func BenchmarkGet(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tickets") {
			entry(w, 201, map[string]any{"id": "TICKET_1"})
			return
		}
		entry(w, 200, downloadEntryOf("PENDING"))
	}))
	defer srv.Close()
	c, err := New(testConfig(srv.URL))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(b.Context(), testID); err != nil {
			b.Fatal(err)
		}
	}
}

func TestStreamPassesOnLargeReads(t *testing.T) {
	content, a := archiveOf(8 << 20)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { serveRange(w, r, content) })
	rc, err := newClient(t, testConfig(srv.URL)).Stream(t.Context(), a, 0, a.Size)
	require.NoError(t, err)
	defer rc.Close()
	var got bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&got}, rc, make([]byte, 1<<20))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got.Bytes()))
}
