// Package metrics shows what a mount does to Prometheus, and its process to pprof, by
// HTTP on this machine: on a unix socket for its user, or on a loopback address for all
// users. It counts nothing itself; package stats does.
package metrics

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"downloadfs/stats"
)

// Server answers on one listener until it is closed.
type Server struct {
	http  *http.Server
	ended chan struct{}
}

// Serve answers on listener with what look returns at that moment: /metrics, and pprof
// below /debug/pprof/. It returns at once.
func Serve(listener net.Listener, look func() stats.Snapshot, log *slog.Logger) *Server {
	handler := newHandler(look)
	if listener.Addr().Network() != "unix" {
		handler = onlyLocal(handler)
	}
	s := &Server{ended: make(chan struct{}), http: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("metrics are no longer served", "op", "metrics", "err", err)
		}
	}()
	return s
}

// Close ends the server and its connections, and removes its socket.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.ended
	return err
}

// register returns a registry of everything that is told.
func register(look func() stats.Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{look}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func newHandler(look func() stats.Snapshot) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(register(look), promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "/metrics\n/debug/pprof/")
	})
	return mux
}

// onlyLocal refuses requests that a browser sends for a page of another site whose
// name its owner has pointed at this machine.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if !local(host) {
			http.Error(w, "ask by the address of this machine: 127.0.0.1, [::1] or localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
