package client

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestKindOf(t *testing.T) {
	kinds := map[error][]int{
		download.ErrInvalid:      {400, 413, 414, 422, 431},
		download.ErrUnauthorized: {401},
		download.ErrForbidden:    {403},
		download.ErrNotFound:     {404, 410},
		download.ErrConflict:     {409, 423},
		download.ErrArchived:     {412},
		download.ErrChanged:      {416},
		download.ErrUnavailable:  {407, 408, 425, 429, 500, 502, 503, 504, 507, 520, 599},
		download.ErrProtocol:     {0, 100, 204, 206, 301, 302, 304, 307, 402, 405, 406, 411, 415, 418, 451, 501, 505, 600, 999},
	}
	for kind, codes := range kinds {
		for _, code := range codes {
			require.Equal(t, kind, kindOf(code), code)
		}
	}
}

func TestSummary(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"errorKey":"framework.exception.EntityNotFound","statusCode":404,"briefSummary":"07110042 The entity with id: 5 was not found","logId":"x"}}`: "The entity with id: 5 was not found",
		`{"error":{"briefSummary":"No number"}}`:                      "No number",
		`{"error":{"briefSummary":"0711004 Seven digits"}}`:           "0711004 Seven digits",
		`{"error":{"errorKey":"some.key","statusCode":500}}`:          "some.key",
		`{"error":{"briefSummary":"07110042 ","errorKey":"a.key"}}`:   "a.key",
		`{"error":{"statusCode":500,"stackTrace":"at org.alfresco"}}`: "",
	} {
		text, own := summary([]byte(body))
		require.True(t, own, body)
		require.Equal(t, want, text)
	}
	for _, body := range []string{"", "<html><h1>502 Bad Gateway</h1></html>", "{}", `{"error":"no"}`, `{"error":{}}`, `{"error":{"briefSummary":5}}`, "null", `{"error":null}`} {
		text, own := summary([]byte(body))
		require.False(t, own, body)
		require.Empty(t, text)
	}
}

func TestAnswerFailure(t *testing.T) {
	c := newClient(t, testConfig("http://127.0.0.1:1"))
	answer := func(code int, header ...string) *http.Response {
		r := &http.Response{StatusCode: code, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	f := c.answerFailure(answer(404), []byte(`{"error":{"statusCode":404,"briefSummary":"07110042 The entity with id: 5 was not found"}}`))
	require.EqualError(t, f, "not found: The entity with id: 5 was not found")
	require.ErrorIs(t, f, download.ErrNotFound)
	require.True(t, f.own)

	f = c.answerFailure(answer(502), []byte("<html>"+strings.Repeat("x", 1000)))
	require.EqualError(t, f, "server unavailable: 502 Bad Gateway")
	require.False(t, f.own)

	f = c.answerFailure(answer(599), nil)
	require.EqualError(t, f, "server unavailable: status 599")

	f = c.answerFailure(answer(400), []byte(`{"error":{"statusCode":400,"briefSummary":"07110042 bad\u0000\u001b[31m\r\nalf_ticket=TICKET_abc `+strings.Repeat("y", 1<<16)+`"}}`))
	require.Less(t, len(f.Error()), 400)
	require.NotContains(t, f.Error(), "TICKET_")
	require.NotContains(t, f.Error(), "\x1b")
	require.NotContains(t, f.Error(), "\n")

	f = c.answerFailure(answer(503, "Retry-After", "17"), nil)
	require.True(t, f.asked)
	require.Equal(t, 17*time.Second, f.retryAfter)

	f = c.answerFailure(answer(302, "Location", "https://bob:sesame@sso.example.org/login?alf_ticket=TICKET_abc"), nil)
	require.ErrorIs(t, f, download.ErrUnauthorized)
	require.ErrorContains(t, f, "https://sso.example.org/login")
	require.NotContains(t, f.Error(), "sesame")
	require.NotContains(t, f.Error(), "alf_ticket")
}

func TestTransportFailureShowsNoURL(t *testing.T) {
	c := newClient(t, testConfig("http://127.0.0.1:1"))
	f := c.transportFailure(&url.Error{Op: "Get", URL: "https://bob:sesame@h/x?alf_ticket=TICKET_abc", Err: errors.New("connection refused")}, false, false)
	require.EqualError(t, f, "server unavailable: connection refused")
	require.True(t, f.unsent)

	f = c.transportFailure(&url.Error{Op: "Get", URL: "x", Err: http.ErrSchemeMismatch}, true, false)
	require.ErrorIs(t, f, download.ErrProtocol)
	require.True(t, f.lasting)

	garbled := &url.Error{Op: "Get", URL: "x", Err: errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`)}
	require.ErrorIs(t, c.transportFailure(garbled, true, false), download.ErrProtocol)
	// Left over from the answer before, it says nothing of the server.
	require.ErrorIs(t, c.transportFailure(garbled, true, true), download.ErrUnavailable)
	// It was HTTP, and broke on its way.
	broken := errors.New("malformed chunked encoding")
	require.ErrorIs(t, c.transportFailure(broken, true, false), download.ErrUnavailable)
}
