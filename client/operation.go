package client

import (
	"crypto/rand"
	"log/slog"
	"time"

	"downloadfs/download"
)

// operation is the purpose of a request: in words for errors, and as the keys of log
// lines.
type operation struct {
	name string      // the log's op
	text string      // verb and subject, which begin an error
	id   download.ID // may be empty
	off  int64       // of a read; -1: none

	// request is sent as X-Request-ID with each attempt and is in each log line: you
	// can compare the server's log with this one.
	request string

	// confirm is how long to wait before each further request when the answer is that
	// there is no such thing, or that this user may not see it. Behind a load balancer
	// that may be the answer of a node that is behind the others. If confirm is empty,
	// the caller asks again by itself.
	confirm []time.Duration
}

var (
	// confirmList is for requests that a person waits for who may have mistyped
	// something.
	confirmList = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond}
	// confirmContent is for the archive of a download that is known to be done.
	confirmContent = []time.Duration{time.Second, 2 * time.Second, 2 * time.Second}
)

func operate(name, text string) operation {
	return operation{name: name, text: text, off: -1, request: requestID()}
}

// requestID returns an id that no other request has.
func requestID() string { return rand.Text()[:16] }

// on returns an operation on a download.
func on(name, verb string, id download.ID) operation {
	return operation{name: name, text: verb + " " + string(id), id: id, off: -1, request: requestID()}
}

// attrs are the operation's log keys followed by more.
func (o operation) attrs(more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("op", o.name)}
	if o.id != "" {
		attrs = append(attrs, slog.String("download", string(o.id)))
	}
	if o.off >= 0 {
		attrs = append(attrs, slog.Int64("off", o.off))
	}
	if o.request != "" {
		attrs = append(attrs, slog.String("request", o.request))
	}
	return append(attrs, more...)
}
