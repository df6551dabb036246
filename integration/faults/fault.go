package faults

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Fault is one way of answering wrongly. Make one with the functions of this package.
// The zero Fault is not usable.
type Fault struct {
	name  string
	serve func(*exchange)
}

// String names the fault.
func (f Fault) String() string { return f.name }

// With returns the fault with another header on its answer.
func (f Fault) With(key, value string) Fault {
	return Fault{f.name + " with " + key, func(x *exchange) {
		x.w.Header().Set(key, value)
		f.serve(x)
	}}
}

// RetryAfter returns the fault with a Retry-After header in seconds.
func (f Fault) RetryAfter(d time.Duration) Fault {
	return f.With("Retry-After", fmt.Sprint(int(d.Seconds())))
}

// RetryAfterDate returns the fault with a Retry-After header that is a date d from
// now. HTTP dates are in whole seconds, so it is up to a second early.
func (f Fault) RetryAfterDate(d time.Duration) Fault {
	return Fault{f.name + " with Retry-After date", func(x *exchange) {
		x.w.Header().Set("Retry-After", time.Now().Add(d).UTC().Format(http.TimeFormat))
		f.serve(x)
	}}
}

// Pass changes nothing. Use it to count requests and to wait for them.
func Pass() Fault {
	return Fault{"pass", func(x *exchange) { x.relay(x.forward(nil)) }}
}

// Status answers with a status code and Alfresco's error body.
func Status(code int) Fault {
	return Fault{fmt.Sprintf("status %d", code), func(x *exchange) {
		x.answer(code, "application/json;charset=UTF-8", fmt.Sprintf(
			`{"error":{"errorKey":"framework.exception.ApiDefault","statusCode":%d,"briefSummary":"00000000 scripted %s",`+
				`"stackTrace":"","descriptionURL":"https://api-explorer.alfresco.com","logId":"fault"}}`, code, http.StatusText(code)))
	}}
}

// Unauthorized answers 401 as Alfresco does when a ticket has ended.
func Unauthorized() Fault {
	f := Status(http.StatusUnauthorized).With("WWW-Authenticate", `Basic realm="Alfresco"`)
	f.name = "status 401"
	return f
}

// HTML answers with the error page of a proxy in front of the server.
func HTML(code int) Fault {
	return Fault{fmt.Sprintf("HTML page %d", code), func(x *exchange) {
		x.answer(code, "text/html", fmt.Sprintf("<html><head><title>%d</title></head><body><h1>%s</h1><script>alert(1)</script></body></html>",
			code, http.StatusText(code)))
	}}
}

// NoServer answers as HAProxy does when it finds no server for a request.
func NoServer() Fault {
	return Fault{"no server behind the proxy", func(x *exchange) {
		x.answer(http.StatusServiceUnavailable, "text/html",
			"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n")
	}}
}

// JSON answers with a body that the test chooses.
func JSON(code int, body string) Fault {
	return Fault{fmt.Sprintf("%d with %.40q", code, body), func(x *exchange) {
		x.answer(code, "application/json;charset=UTF-8", body)
	}}
}

// Delay waits before the request goes on to the upstream.
func Delay(d time.Duration) Fault {
	return Fault{fmt.Sprintf("answer after %s", d), func(x *exchange) {
		if !x.hang(d) {
			x.drop()
		}
		x.relay(x.forward(nil))
	}}
}

// DelayAnswer lets the upstream act, and waits before it passes on the answer.
func DelayAnswer(d time.Duration) Fault {
	return Fault{fmt.Sprintf("acted, answer after %s", d), func(x *exchange) {
		resp := x.forward(nil)
		if !x.hang(d) {
			resp.Body.Close()
			x.drop()
		}
		x.relay(resp)
	}}
}

// Silence never answers. The upstream sees nothing.
func Silence() Fault {
	return Fault{"no answer", func(x *exchange) {
		x.hang(0)
		x.drop()
	}}
}

// DropBefore closes the connection without an answer. The upstream sees nothing.
func DropBefore() Fault {
	return Fault{"connection closed before", func(x *exchange) { x.drop() }}
}

// DropAfter closes the connection without an answer after the upstream has acted on
// the request. The answer is lost.
func DropAfter() Fault {
	return Fault{"answer lost", func(x *exchange) {
		x.forward(nil).Body.Close()
		x.drop()
	}}
}

// Redirect answers with a status of 301 to 308 and a Location: a URL, or a path
// on this proxy.
func Redirect(code int, location string) Fault {
	return Fault{fmt.Sprintf("redirect %d", code), func(x *exchange) {
		x.w.Header().Set("Location", location)
		x.answer(code, "text/plain", "")
	}}
}

// RedirectTo redirects to the same path and query on another base URL.
func RedirectTo(code int, base string) Fault {
	return Fault{fmt.Sprintf("redirect %d to another host", code), func(x *exchange) {
		x.w.Header().Set("Location", strings.TrimSuffix(base, "/")+x.r.URL.RequestURI())
		x.answer(code, "text/plain", "")
	}}
}

// RedirectLoop redirects every request to itself.
func RedirectLoop(code int) Fault {
	return Fault{fmt.Sprintf("redirect %d loop", code), func(x *exchange) {
		x.w.Header().Set("Location", x.r.URL.RequestURI())
		x.answer(code, "text/plain", "")
	}}
}
