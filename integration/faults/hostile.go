package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// The faults in this file are those of a server that means harm.

// Entry changes the entry in the upstream's JSON answer. name describes the change.
func Entry(name string, edit func(entry map[string]any)) Fault {
	return Fault{"entry " + name, func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			x.drop()
		}
		var doc map[string]any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if dec.Decode(&doc) == nil {
			if entry, ok := doc["entry"].(map[string]any); ok {
				edit(entry)
			}
			if data, err = json.Marshal(doc); err != nil {
				x.drop()
			}
		}
		x.head(resp, resp.StatusCode, int64(len(data)))
		_, _ = x.out().Write(data)
	}}
}

// ID gives the entry another id.
func ID(id string) Fault {
	return Entry(fmt.Sprintf("id %.40q", id), func(e map[string]any) { e["id"] = id })
}

// Word gives the entry another status.
func Word(status string) Fault {
	return Entry(fmt.Sprintf("status %.40q", status), func(e map[string]any) { e["status"] = status })
}

// Counters gives the entry other counters.
func Counters(bytesAdded, totalBytes, filesAdded, totalFiles any) Fault {
	return Entry(fmt.Sprintf("counters %v/%v %v/%v", bytesAdded, totalBytes, filesAdded, totalFiles), func(e map[string]any) {
		e["bytesAdded"], e["totalBytes"], e["filesAdded"], e["totalFiles"] = bytesAdded, totalBytes, filesAdded, totalFiles
	})
}

// Stuck makes a download look as if zipping had failed silently: IN_PROGRESS, with
// the same counters each time.
func Stuck() Fault {
	return Entry("stuck in progress", func(e map[string]any) {
		e["status"], e["bytesAdded"], e["totalBytes"], e["filesAdded"], e["totalFiles"] = "IN_PROGRESS", 1000, 5000, 1, 5
	})
}

// GiantJSON answers with JSON of about n bytes, most of it one string.
func GiantJSON(code int, n int64) Fault {
	return Fault{fmt.Sprintf("%d with %d bytes of JSON", code, n), func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		x.status(code)
		out := x.out()
		_, _ = io.WriteString(out, `{"entry":{"id":"`)
		_, _ = io.CopyN(out, repeat("a"), n)
		_, _ = io.WriteString(out, `","status":"PENDING"}}`)
	}}
}

// DeepJSON answers with n nested arrays.
func DeepJSON(code int, n int64) Fault {
	return Fault{fmt.Sprintf("%d with %d nested arrays", code, n), func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		x.status(code)
		_, _ = io.WriteString(x.out(), `{"entry":`)
		_, _ = io.CopyN(x.out(), repeat("["), n)
	}}
}

// EndlessJSON answers with JSON that never ends.
func EndlessJSON(code int) Fault {
	return Fault{fmt.Sprintf("%d with endless JSON", code), func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		x.status(code)
		_, _ = io.WriteString(x.out(), `{"entry":{"id":"`)
		_, _ = io.Copy(x.out(), repeat("a"))
		x.drop()
	}}
}

// GzipBomb answers with an entry that unpacks to n bytes, whatever the client
// accepts.
func GzipBomb(code int, n int64) Fault {
	return Fault{fmt.Sprintf("%d with a gzip bomb of %d bytes", code, n), func(x *exchange) {
		x.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		x.w.Header().Set("Content-Encoding", "gzip")
		x.status(code)
		zw := gzip.NewWriter(x.out())
		_, _ = io.WriteString(zw, `{"entry":{"id":"`)
		_, _ = io.CopyN(zw, repeat("a"), n)
		_, _ = io.WriteString(zw, `","status":"PENDING"}}`)
		_ = zw.Close() // the client may have gone
	}}
}

// HeaderBomb answers with n bytes of headers and then an empty entry.
func HeaderBomb(n int) Fault {
	return Fault{fmt.Sprintf("%d bytes of headers", n), func(x *exchange) {
		conn := x.hijack()
		defer conn.Close()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); err != nil {
			return
		}
		line := strings.Repeat("a", 4000) + "\r\n"
		for i := 0; i*len(line) < n; i++ {
			if _, err := fmt.Fprintf(conn, "X-%d: %s", i, line); err != nil {
				return
			}
		}
		_, _ = io.WriteString(conn, "Content-Length: 12\r\n\r\n{\"entry\":{}}")
	}}
}

// Raw answers with exactly these bytes, which need not be HTTP, and closes.
func Raw(text string) Fault {
	return Fault{fmt.Sprintf("raw %.40q", text), func(x *exchange) {
		conn := x.hijack()
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
	}}
}

// repeat is an endless reader that repeats one byte.
type repeat string

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r[0]
	}
	return len(p), nil
}
