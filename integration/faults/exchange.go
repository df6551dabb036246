package faults

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// exchange is one request and its answer.
type exchange struct {
	server   *Server
	upstream string
	w        http.ResponseWriter
	r        *http.Request
	body     []byte // of the request
	rec      *Record
}

func (x *exchange) note(edit func(*Record)) {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	edit(x.rec)
}

// drop closes the connection at once. Bytes that were not flushed are lost.
func (x *exchange) drop() { panic(http.ErrAbortHandler) }

// hijack takes over the connection. The caller closes it.
func (x *exchange) hijack() net.Conn {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.drop()
	}
	return conn
}

// hang blocks for d (0: for ever), or until the client or the test has gone. It
// reports whether the time is over and the exchange should go on.
func (x *exchange) hang(d time.Duration) bool {
	var timeout <-chan time.Time
	if d > 0 {
		timeout = time.After(d)
	}
	select {
	case <-timeout:
		return true
	case <-x.r.Context().Done():
	case <-x.server.done:
	}
	return false
}

// forward sends the request on, after edit has changed it if edit is not nil. If the
// upstream cannot be reached, it drops the client's connection: to the client this
// proxy is the server.
func (x *exchange) forward(edit func(*http.Request)) *http.Response {
	req, err := http.NewRequestWithContext(x.r.Context(), x.r.Method, x.upstream+x.r.URL.RequestURI(), bytes.NewReader(x.body))
	if err != nil {
		x.drop()
	}
	req.Header = x.r.Header.Clone()
	req.Header.Del("Connection")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "") // keep Go from adding its own
	}
	if edit != nil {
		edit(req)
	}
	resp, err := x.server.transport.RoundTrip(req)
	if err != nil {
		x.drop()
	}
	return resp
}

// head sends the status line and the headers of the upstream. With a length of -1 the
// body is sent in chunks.
func (x *exchange) head(resp *http.Response, status int, length int64) {
	h := x.w.Header()
	for k, v := range resp.Header {
		h[k] = v
	}
	h.Del("Content-Length")
	h.Del("Connection")
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	x.status(status)
}

func (x *exchange) status(code int) {
	x.note(func(rec *Record) { rec.Status = code })
	x.w.WriteHeader(code)
}

// relay passes on the upstream's answer and flushes each piece.
func (x *exchange) relay(resp *http.Response) {
	defer resp.Body.Close()
	x.head(resp, resp.StatusCode, resp.ContentLength)
	if _, err := io.Copy(x.out(), resp.Body); err != nil {
		x.drop()
	}
}

// out returns the writer of the answer's body. It counts and flushes everything at
// once.
func (x *exchange) out() io.Writer { return (*bodyWriter)(x) }

type bodyWriter exchange

func (b *bodyWriter) Write(p []byte) (int, error) {
	n, err := b.w.Write(p)
	(*exchange)(b).note(func(rec *Record) { rec.Sent += int64(n) })
	if err == nil {
		err = http.NewResponseController(b.w).Flush()
	}
	return n, err
}

// answer sends a complete answer by the proxy itself.
func (x *exchange) answer(code int, contentType, body string) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.status(code)
	_, _ = io.WriteString(x.out(), body) // ignore a client that has gone
}
