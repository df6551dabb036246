package faults

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Server is an HTTP proxy in front of a content server that follows rules. Its
// methods are safe for concurrent use.
type Server struct {
	srv       *httptest.Server
	transport *http.Transport
	done      chan struct{} // closed when the test ends; releases hanging exchanges

	mu       sync.Mutex
	upstream string      // guarded by mu
	rules    []*Injected // guarded by mu
	records  []*Record   // guarded by mu
}

// NewServer starts a proxy on a loopback port in front of the server at
// upstream ("http://host:port"). It ends with the test.
func NewServer(t testing.TB, upstream string) *Server {
	t.Helper()
	s := newServer(t, upstream)
	s.srv.Start()
	return s
}

// NewTLSServer is NewServer with a proxy that speaks TLS with the given
// certificate.
func NewTLSServer(t testing.TB, upstream string, cert tls.Certificate) *Server {
	t.Helper()
	s := newServer(t, upstream)
	s.srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.srv.StartTLS()
	return s
}

func newServer(t testing.TB, upstream string) *Server {
	s := &Server{
		// Compression stays off so that bytes and lengths pass as they are.
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		done:      make(chan struct{}),
		upstream:  upstream,
	}
	s.srv = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() {
		close(s.done)
		s.srv.CloseClientConnections()
		s.srv.Close()
		s.transport.CloseIdleConnections()
	})
	return s
}

// URL returns the proxy's base URL, without a trailing slash.
func (s *Server) URL() string { return s.srv.URL }

// Addr returns the proxy's host and port.
func (s *Server) Addr() string { return s.srv.Listener.Addr().String() }

// SetUpstream points the proxy at another server, from the next request on.
func (s *Server) SetUpstream(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upstream = url
}

// Inject activates a rule. If several rules match a request, the one that was
// injected first answers.
func (s *Server) Inject(r Rule) *Injected {
	in := &Injected{rule: r, server: s, first: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, in)
	return in
}

func (s *Server) remove(in *Injected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.DeleteFunc(slices.Clone(s.rules), func(o *Injected) bool { return o == in })
}

// Clear ends all rules.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r)
	x := &exchange{server: s, w: w, r: r, rec: &Record{
		At:         time.Now(),
		Kind:       kind,
		Method:     r.Method,
		Path:       r.URL.Path,
		Range:      r.Header.Get("Range"),
		Authorized: r.Header.Get("Authorization") != "" || r.URL.Query().Has("alf_ticket"),
	}}
	s.mu.Lock()
	rules := s.rules
	x.upstream = s.upstream
	s.records = append(s.records, x.rec)
	s.mu.Unlock()
	defer x.note(func(rec *Record) { rec.Ended = true })

	// Read the body first. Only then does the request's context tell when the client
	// has gone.
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		x.drop()
	}
	x.body = body

	for _, in := range rules {
		if in.claim(kind, r) {
			x.note(func(rec *Record) { rec.Fault = in.rule.Fault.name })
			in.rule.Fault.serve(x)
			return
		}
	}
	x.relay(x.forward(nil))
}
