package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"downloadfs/download"
)

// failure is one failed attempt: what it means, what a person reads, and what retry.go
// needs to decide. It unwraps to its sentinel alone: the transport's words may quote
// URLs and are kept as cleaned text only.
type failure struct {
	kind   error  // a sentinel of package download
	detail string // may be empty; repeat cleans it before anybody sees it

	code       int           // the HTTP status; 0 when there was no answer
	unsent     bool          // the request certainly never reached the server
	own        bool          // the answer is in Alfresco's own words, not a proxy's
	lasting    bool          // another attempt would meet the same
	retryAfter time.Duration // how long the server asks to be left alone
	asked      bool          // retryAfter was given
	empty      emptiness     // what is known of content that had no bytes
}

func (f *failure) Error() string {
	if f.detail == "" {
		return f.kind.Error()
	}
	return f.kind.Error() + ": " + f.detail
}

func (f *failure) Unwrap() error { return f.kind }

// Reason implements the method that download.Service describes.
func (f *failure) Reason() string { return f.detail }

// ended is the failure of a call whose context ended. It is the context's error, and
// its text tells what was tried again until the time was up.
type ended struct {
	cause error    // of the context
	f     *failure // of the latest attempt that the context did not end
}

func (e *ended) Error() string {
	if errors.Is(e.cause, context.Canceled) {
		return e.cause.Error()
	}
	return fmt.Sprintf("%v (%v)", e.cause, e.f)
}

func (e *ended) Unwrap() error  { return e.cause }
func (e *ended) Reason() string { return e.f.detail }

// doubtful reports whether a node of a cluster that is behind the others could say the
// same.
func (f *failure) doubtful() bool {
	return !f.unsent && (f.kind == download.ErrNotFound || f.kind == download.ErrForbidden)
}

// protocolFailure returns the failure for an answer that no Alfresco server gives.
func protocolFailure(format string, args ...any) *failure {
	return &failure{kind: download.ErrProtocol, detail: fmt.Sprintf(format, args...), lasting: true}
}

// kindOf returns the meaning of an HTTP status that is not the expected one. It is the
// only place where a status becomes a sentinel.
func kindOf(code int) error {
	switch code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		return download.ErrInvalid
	case http.StatusUnauthorized:
		return download.ErrUnauthorized
	case http.StatusForbidden:
		return download.ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return download.ErrNotFound
	case http.StatusConflict, http.StatusLocked:
		return download.ErrConflict
	case http.StatusPreconditionFailed:
		return download.ErrArchived
	case http.StatusRequestedRangeNotSatisfiable:
		// Only bytes below the known size are ever asked for.
		return download.ErrChanged
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusProxyAuthRequired:
		return download.ErrUnavailable
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return download.ErrProtocol
	}
	if code >= 500 && code <= 599 {
		return download.ErrUnavailable
	}
	return download.ErrProtocol
}

// notThere returns a sentence for people if err is the server's own word that something
// is not there. Any other error stays as it is. what is looked for, check is what may be
// mistyped in it.
func notThere(err error, what, check string) error {
	if f, ok := errors.AsType[*failure](err); !ok || !f.own || f.kind != download.ErrNotFound {
		return err
	}
	return download.Because(download.ErrNotFound, "%s was not found on the server, or this user may not see it; check the %s", what, check)
}

// onceFailure returns what f means for a request of size bytes that is not sent again.
// A server that says 500 in its own words is there, so a person decides. A proxy that
// does not accept a request of this length may accept a shorter one.
func onceFailure(f *failure, size int) *failure {
	switch {
	case f.code == http.StatusInternalServerError && f.own:
		f.kind = download.ErrServerFailed
	case f.code == http.StatusRequestEntityTooLarge:
		f.kind = download.ErrListTooLong
		f.detail = fmt.Sprintf("the server, or a proxy in front of it, refuses a request of %d kB (%d); "+
			"write it as several lists, or have the limit raised (of nginx: client_max_body_size)", size/1000+1, f.code)
	}
	return f
}

// answerFailure returns the failure for an answer and the beginning of its body.
func (c *Client) answerFailure(resp *http.Response, body []byte) *failure {
	f := &failure{kind: kindOf(resp.StatusCode), code: resp.StatusCode}
	f.retryAfter, f.asked = retryAfter(resp.Header)
	f.unsent = turnedAway(resp, body)
	f.detail, f.own = summary(body)
	f.detail = c.scrub.clean(f.detail)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		if to, err := url.Parse(resp.Header.Get("Location")); err == nil && isLoginPage(to) {
			return webLogin(c.place(to.String()))
		}
		f.detail = fmt.Sprintf("the server redirects (%d) to %s, which is not part of the API; check the server URL",
			resp.StatusCode, c.place(resp.Header.Get("Location")))
	case resp.StatusCode == http.StatusProxyAuthRequired:
		f.detail = "the proxy wants a login; give it in HTTP_PROXY, as http://USER:PASSWORD@HOST"
	case f.detail == "" && http.StatusText(resp.StatusCode) != "":
		f.detail = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	case f.detail == "":
		f.detail = fmt.Sprintf("status %d", resp.StatusCode)
	}
	return f
}

// logNumber matches what Alfresco puts in front of a message so that it can be found in
// the server's log: month, day and a counter.
var logNumber = regexp.MustCompile(`^\s*\d{8}\s+`)

// summary returns the sentence for people in an Alfresco error body, and whether the
// body is one. For anything else, such as a proxy's page, it returns "".
func summary(body []byte) (text string, own bool) {
	var wire struct {
		Error *struct {
			BriefSummary *string `json:"briefSummary"`
			StatusCode   *int    `json:"statusCode"`
			ErrorKey     *string `json:"errorKey"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &wire) != nil || wire.Error == nil {
		return "", false
	}
	e := wire.Error
	if e.BriefSummary == nil && e.StatusCode == nil && e.ErrorKey == nil {
		return "", false
	}
	if e.BriefSummary != nil {
		text = logNumber.ReplaceAllString(*e.BriefSummary, "")
	}
	if text == "" && e.ErrorKey != nil {
		text = *e.ErrorKey
	}
	return text, true
}

// place returns the host and path of a URL, without the parts that can hold a secret.
func (c *Client) place(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "an unreadable address"
	}
	return c.scrub.clean((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// transportFailure returns the failure for an error of the HTTP transport. sent says
// whether there was a connection on which the request may have gone out, and reused
// whether the connection had carried other requests before.
func (c *Client) transportFailure(err error, sent, reused bool) *failure {
	var own *failure
	if errors.As(err, &own) { // from the redirect policy or the proxy setting
		return own
	}
	// url.Error quotes the URL.
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	f := &failure{kind: download.ErrUnavailable, unsent: !sent}
	text := err.Error()
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), isNoHTTP(text) && !reused:
		// On a reused connection the data may be left over from the answer before.
		f.kind, f.lasting = download.ErrProtocol, true
		f.detail = fmt.Sprintf("%s does not answer in %s; check scheme and port of the server URL",
			c.base.Host, strings.ToUpper(c.base.Scheme))
	case strings.Contains(text, "Location header"):
		f.kind, f.lasting = download.ErrProtocol, true
		f.detail = "the server redirects without a readable address"
	case err == context.DeadlineExceeded: // not the network's own time limits, which say more
		f.detail = "no answer in time"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		f.detail = "no answer in time (" + c.scrub.clean(text) + ")"
	default:
		f.detail = c.scrub.clean(text)
	}
	if sentence, ok := TLSSentence(c.base.Hostname(), err); ok {
		f.kind, f.lasting = download.ErrUnavailable, true
		f.detail = sentence
	}
	f.detail = c.scrub.cleanTo(maxDetailLen, f.detail)
	return f
}

// isNoHTTP reports whether the text of an error says that the answer is not HTTP. An
// answer with a malformed chunk is: it broke on its way.
func isNoHTTP(text string) bool {
	return strings.Contains(text, "malformed ") && !strings.Contains(text, "malformed chunked encoding") ||
		strings.Contains(text, "response headers exceeded")
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// isHTML reports whether a header announces a page for people: a proxy, a single
// sign-on or another kind of server puts one in place of an answer.
func isHTML(contentType string) bool {
	mt, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		mt, _, _ = strings.Cut(contentType, ";")
	}
	mt = strings.ToLower(strings.TrimSpace(mt))
	return mt == "text/html" || mt == "application/xhtml+xml"
}
