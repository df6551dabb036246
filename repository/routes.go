package repository

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// The roots of the two APIs below a server's address; -default- is the tenant.
const (
	CoreAPI = "/alfresco/api/-default-/public/alfresco/versions/1"
	AuthAPI = "/alfresco/api/-default-/public/authentication/versions/1"
)

// call answers an authenticated request, or returns an error before it has written
// anything.
type call func(http.ResponseWriter, *http.Request, *account) error

func (s *Repository) routes() *http.ServeMux {
	mux := http.NewServeMux()
	c := &s.counters
	handle := func(pattern string, n *atomic.Int64, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c.total.Add(1)
			n.Add(1)
			h(w, r)
		})
	}
	core := func(method, path string, n *atomic.Int64, h call) {
		handle(method+" "+CoreAPI+path, n, s.authenticated(h))
	}
	core("POST", "/downloads", &c.create, s.createDownload)
	core("GET", "/downloads/{id}", &c.get, s.getDownload)
	core("DELETE", "/downloads/{id}", &c.cancel, s.cancelDownload)
	core("GET", "/nodes/{id}", &c.node, s.getNode)
	core("DELETE", "/nodes/{id}", &c.deleted, s.deleteNode)
	core("GET", "/nodes/{id}/children", &c.children, s.getChildren)
	core("GET", "/nodes/{id}/content", &c.content, s.getContent)
	core("GET", "/people/{id}", &c.other, s.getPerson)
	handle("GET "+CoreAPI+"/probes/{id}", &c.other, s.answer(s.probe))
	handle("GET /alfresco/api/discovery", &c.other, s.authenticated(s.discover))
	handle("POST "+AuthAPI+"/tickets", &c.ticket, s.answer(s.createTicket))
	handle("GET "+AuthAPI+"/tickets/{id}", &c.ticket, s.authenticated(s.getTicket))
	handle("DELETE "+AuthAPI+"/tickets/{id}", &c.ticket, s.authenticated(s.deleteTicket))
	noSuchMethod := s.authenticated(func(http.ResponseWriter, *http.Request, *account) error { return unsupported() })
	for _, path := range []string{
		CoreAPI + "/downloads", CoreAPI + "/downloads/{id}", CoreAPI + "/nodes/{id}", CoreAPI + "/nodes/{id}/children",
		CoreAPI + "/nodes/{id}/content", CoreAPI + "/people/{id}", AuthAPI + "/tickets", AuthAPI + "/tickets/{id}",
	} {
		handle(path, &c.other, noSuchMethod)
	}

	handle("/alfresco/", &c.other, s.authenticated(func(_ http.ResponseWriter, r *http.Request, _ *account) error {
		return notFound(r.URL.Path)
	}))
	handle("/", &c.other, notOurs)
	mux.HandleFunc("GET /-/stats", s.getStats)
	return mux
}

// notOurs answers as Tomcat does at a path where there is no web application.
func notOurs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><head><title>HTTP Status 404 – Not Found</title></head><body><h1>HTTP Status 404 – Not Found</h1></body></html>")
}

// authenticated returns a handler that calls h for users who log in.
func (s *Repository) authenticated(h call) http.HandlerFunc {
	return s.answer(func(w http.ResponseWriter, r *http.Request) error {
		a, err := s.authenticate(r)
		if err != nil {
			return err
		}
		return h(w, r, a)
	})
}

// answer returns a handler that calls h and turns errors into Alfresco's error
// bodies.
func (s *Repository) answer(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if rec, ok := w.(*recorder); ok && rec.status != 0 {
			s.log.Debug("answer cut short", "op", r.Method, "path", r.URL.Path, "err", err)
			return // the status has been sent; a body that is too short closes the connection
		}
		var e *apiError
		if !errors.As(err, &e) {
			s.log.Error("unexpected", "op", r.Method, "path", r.URL.Path, "err", err)
			e = internal("An unexpected error occurred")
		}
		writeError(w, e)
	}
}
