package faults

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The faults of this file send what the upstream answers, changed on its way.

// Truncate sends the upstream's headers and only n bytes of the body, and then closes
// the connection.
func Truncate(n int64) Fault {
	return Fault{fmt.Sprintf("cut after %d bytes", n), func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, resp.ContentLength)
		x.flush()
		_, _ = io.CopyN(x.out(), resp.Body, n)
		x.drop()
	}}
}

// Reset is Truncate with a TCP reset instead of an orderly close. The last bytes sent
// may be lost with it.
func Reset(n int64) Fault {
	return Fault{fmt.Sprintf("reset after %d bytes", n), func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.note(func(rec *Record) { rec.Status = resp.StatusCode })
		conn := x.hijack()
		defer conn.Close()
		if tc, ok := conn.(*net.TCPConn); ok {
			_ = tc.SetLinger(0) // if this fails, the close is orderly
		}
		_, _ = io.WriteString(conn, rawHead(resp))
		sent, _ := io.CopyN(conn, resp.Body, n)
		x.note(func(rec *Record) { rec.Sent = sent })
	}}
}

// rawHead returns the answer's status line and headers as text.
func rawHead(resp *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", resp.Status)
	if resp.ContentLength >= 0 {
		resp.Header.Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	_ = resp.Header.Write(&b) // a strings.Builder does not fail
	b.WriteString("\r\n")
	return b.String()
}

// Short sends n bytes of the body as if they were all. The length matches them, the
// Content-Range does not.
func Short(n int64) Fault {
	return Fault{fmt.Sprintf("only %d bytes, length says so", n), func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, min(n, resp.ContentLength))
		_, _ = io.CopyN(x.out(), resp.Body, n)
	}}
}

// Overlong sends n bytes more than the range has. The length includes them.
func Overlong(n int64) Fault {
	return Fault{fmt.Sprintf("%d bytes too many", n), func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, resp.ContentLength+n)
		_, _ = io.Copy(x.out(), resp.Body)
		_, _ = io.CopyN(x.out(), zeros{}, n)
	}}
}

// Smuggle sends the answer and then, unasked and on the same connection, a second one
// that claims to answer the next request.
func Smuggle() Fault {
	return Fault{"second answer unasked", func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.note(func(rec *Record) { rec.Status = resp.StatusCode })
		conn := x.hijack()
		defer conn.Close()
		_, _ = io.WriteString(conn, rawHead(resp))
		sent, _ := io.Copy(conn, resp.Body)
		x.note(func(rec *Record) { rec.Sent = sent })
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/4\r\n\r\nEVIL")
		x.hang(100 * time.Millisecond)
	}}
}

// Endless sends the upstream's answer in chunks, and then bytes without end.
func Endless() Fault {
	return Fault{"body without end", func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, -1)
		if _, err := io.Copy(x.out(), resp.Body); err != nil {
			x.drop()
		}
		_, _ = io.Copy(x.out(), zeros{})
		x.drop()
	}}
}

// StallAfter sends n bytes of the body, then nothing for d (0: for ever), then the
// rest.
func StallAfter(n int64, d time.Duration) Fault {
	name := fmt.Sprintf("silent after %d bytes", n)
	if d > 0 {
		name += " for " + d.String()
	}
	return Fault{name, func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, resp.ContentLength)
		x.flush()
		_, _ = io.CopyN(x.out(), resp.Body, n)
		if !x.hang(d) {
			x.drop()
		}
		if _, err := io.Copy(x.out(), resp.Body); err != nil {
			x.drop()
		}
	}}
}

// Trickle sends the body in pieces of n bytes with a pause before each.
func Trickle(n int64, pause time.Duration) Fault {
	return Fault{fmt.Sprintf("%d bytes every %s", n, pause), func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, resp.StatusCode, resp.ContentLength)
		x.flush()
		for {
			if !x.hang(pause) {
				x.drop()
			}
			_, err := io.CopyN(x.out(), resp.Body, n)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				x.drop()
			}
		}
	}}
}

// ContentRange changes the Content-Range of a ranged answer. edit gets the first
// byte, the last byte and the total. It returns the header's value, "" for none.
func ContentRange(name string, edit func(first, last, total int64) string) Fault {
	return Fault{"Content-Range " + name, func(x *exchange) {
		resp := x.forward(nil)
		var first, last, total int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err == nil {
			if v := edit(first, last, total); v != "" {
				resp.Header.Set("Content-Range", v)
			} else {
				resp.Header.Del("Content-Range")
			}
		}
		x.relay(resp)
	}}
}

// ShiftRange claims a range that starts and ends n bytes further on. The bytes are
// those asked for.
func ShiftRange(n int64) Fault {
	return ContentRange(fmt.Sprintf("shifted by %d", n), func(first, last, total int64) string {
		return fmt.Sprintf("bytes %d-%d/%d", first+n, last+n, total)
	})
}

// WrongEnd claims a last byte n further on.
func WrongEnd(n int64) Fault {
	return ContentRange(fmt.Sprintf("end off by %d", n), func(first, last, total int64) string {
		return fmt.Sprintf("bytes %d-%d/%d", first, last+n, total)
	})
}

// HalfRange claims to send the first half of the requested range, and sends more.
func HalfRange() Fault {
	return ContentRange("of half", func(first, last, total int64) string {
		return fmt.Sprintf("bytes %d-%d/%d", first, first+(last-first)/2, total)
	})
}

// WrongTotal claims that the archive is n bytes longer.
func WrongTotal(n int64) Fault {
	return ContentRange(fmt.Sprintf("total off by %d", n), func(first, last, total int64) string {
		return fmt.Sprintf("bytes %d-%d/%d", first, last, total+n)
	})
}

// NoContentRange leaves out the Content-Range header.
func NoContentRange() Fault {
	return ContentRange("missing", func(int64, int64, int64) string { return "" })
}

// GarbageRange replaces the Content-Range header by something unreadable.
func GarbageRange() Fault {
	return ContentRange("unreadable", func(int64, int64, int64) string { return "bytes -9223372036854775808-99999999999999999999/*" })
}

// EmptyPartial answers 206 with the right Content-Range and an empty body. A content
// store does that if its single skip does not reach the start of the range.
func EmptyPartial() Fault {
	return Fault{"empty 206", func(x *exchange) {
		resp := x.forward(nil)
		defer resp.Body.Close()
		x.head(resp, http.StatusPartialContent, 0)
	}}
}

// Whole answers a ranged request with 200 and the whole archive.
func Whole() Fault {
	return Fault{"200 to a ranged request", func(x *exchange) {
		x.relay(x.forward(func(r *http.Request) { r.Header.Del("Range") }))
	}}
}

// WholeUntold is Whole in chunks, without the archive's length.
func WholeUntold() Fault {
	return Fault{"200 in chunks to a ranged request", func(x *exchange) {
		resp := x.forward(func(r *http.Request) { r.Header.Del("Range") })
		for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges"} {
			resp.Header.Del(name)
		}
		resp.ContentLength = -1
		x.relay(resp)
	}}
}

func (x *exchange) flush() {
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		x.drop()
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
