package client

import (
	"log/slog"

	"downloadfs/download"
)

// operation is what a request is for: in words for errors, and as the keys of
// log lines.
type operation struct {
	name string      // the log's op
	text string      // verb and subject, the beginning of an error
	id   download.ID // may be empty
	off  int64       // of a read; -1: none
}

func operate(name, text string) operation { return operation{name: name, text: text, off: -1} }

// on returns an operation on a download.
func on(name, verb string, id download.ID) operation {
	return operation{name: name, text: verb + " " + string(id), id: id, off: -1}
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
	return append(attrs, more...)
}
