package integration

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// gate is a server in front of another one that decides who is let in. It is slow
// with content, and breaks it off after a while, so that reading an archive takes
// many requests.
type gate struct {
	url     string
	refused atomic.Int64 // requests that were not let in
	content atomic.Int64 // requests for content that were
}

// gateOptions say what a gate does with a request; each may be nil.
type gateOptions struct {
	// takes reports whether a request is let in, as one of the administrator's.
	// Without it all are, as they are.
	takes func(r *http.Request) bool
	// refuse answers a request that is not let in; without it the answer is 401.
	refuse http.HandlerFunc
	// each is called before the nth request for content is passed on.
	each func(n int64)
	tls  *tls.Config
}

const (
	gatePiece = 64 << 10               // sent at a time
	gatePause = 100 * time.Millisecond // between pieces
	gateCut   = 256 << 10              // bytes, after which content breaks off
)

func startGate(t *testing.T, server string, o gateOptions) *gate {
	t.Helper()
	to, err := url.Parse(server)
	require.NoError(t, err)
	g := &gate{}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(harness.AdminName+":"+harness.AdminPassword))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if o.takes != nil {
				r.Out.Header.Set("Authorization", basic)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.takes != nil && !o.takes(r) {
			g.refused.Add(1)
			if o.refuse != nil {
				o.refuse(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/content") {
			n := g.content.Add(1)
			if o.each != nil {
				o.each(n)
			}
			w = &slowWriter{ResponseWriter: w}
		}
		proxy.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = nil
	if srv.TLS = o.tls; o.tls != nil {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	g.url = srv.URL
	return g
}

// slowWriter writes piece by piece, and breaks off.
type slowWriter struct {
	http.ResponseWriter
	sent int
}

func (w *slowWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if w.sent >= gateCut {
			panic(http.ErrAbortHandler)
		}
		n, err := w.ResponseWriter.Write(p[:min(len(p), gatePiece)])
		written, p = written+n, p[n:]
		if err != nil {
			return written, err
		}
		w.sent += n
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		time.Sleep(gatePause * time.Duration(n) / gatePiece) // the link is slow
	}
	return written, nil
}
