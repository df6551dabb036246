package client

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	// maxAnswer is how much of an answer is read. Except for lists, the API's answers
	// are below 4 KiB.
	maxAnswer  = 1 << 20
	maxRefusal = 64 << 10
)

// request is one call of the API other than streaming.
type request struct {
	op     operation
	method string
	url    string
	body   []byte
	once   bool          // must not be sent again blindly
	probe  bool          // asks whether the API exists at all
	budget time.Duration // 0: the client's
	limit  int64         // of the answer's size; 0: maxAnswer
}

// call makes a request, and repeats it where that is safe. It passes the body of a
// success to read, which may be nil when there is nothing to read.
func (c *Client) call(ctx context.Context, r request, read func(body []byte) *failure) error {
	budget := r.budget
	if budget == 0 {
		budget = c.cfg.MaxElapsed
	}
	limit := patience(c.cfg.RequestTimeout)
	return c.repeat(ctx, r.op, r.once, budget, func() *failure {
		f := c.attempt(ctx, r, limit.next(), read)
		switch {
		case !f.elsewhere():
			return f
		case r.probe:
			return c.away(f)
		}
		return c.believeRefusal(ctx, r.op, f)
	})
}

// patience is how long an attempt may take. Each attempt waits twice as long as the one
// before: a request that hangs is dropped soon, and a slow one gets its time.
type patience time.Duration

const maxPatience = patience(10 * time.Minute)

func (p *patience) next() time.Duration {
	now := *p
	*p = max(now, min(2*now, maxPatience))
	return time.Duration(now)
}

// attempt sends the request once, or twice when the ticket had to be renewed.
func (c *Client) attempt(ctx context.Context, r request, limit time.Duration, read func(body []byte) *failure) *failure {
	hc := c.api
	if r.once {
		hc, limit = c.once, max(limit, c.cfg.MaxElapsed)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, f := c.send(ctx, hc, r.op, func() (*http.Request, error) {
		return c.newRequest(ctx, r)
	})
	if f != nil {
		return f
	}
	defer resp.Body.Close()
	f = c.readAnswer(resp, r.limit, read)
	if f != nil && r.once {
		f = onceFailure(f, len(r.body))
	}
	return f
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body == nil {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// send makes the request that build returns, with the login. If the server does not
// accept the login, it sends once more with a new login, and then with the password
// itself. The caller closes the answer's body.
func (c *Client) send(ctx context.Context, hc *http.Client, op operation, build func() (*http.Request, error)) (*http.Response, *failure) {
	cred, f := c.auth.credential(ctx)
	if f != nil {
		return nil, f
	}
	for tries := 1; ; tries++ {
		req, err := build()
		if err != nil {
			return nil, protocolFailure("%v", err)
		}
		header, f := c.auth.header(ctx, cred)
		if f != nil {
			return nil, f
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		resp, f := c.roundTrip(hc, op, req)
		if f != nil {
			return nil, f
		}
		if resp.StatusCode != http.StatusUnauthorized {
			c.auth.accepted(cred)
			return resp, nil
		}
		refusal := c.refusal(resp)
		resp.Body.Close()
		switch {
		case tries == 1 && cred.renewable:
			c.log.LogAttrs(ctx, slog.LevelDebug, "the server refuses the login; logging in again", op.attrs()...)
			cred, f = c.auth.renew(ctx, cred)
		case tries == 2 && cred.ticket:
			// The server has just accepted the password and given this ticket. It is a
			// node of a cluster that does not know the tickets of another node.
			c.log.LogAttrs(ctx, slog.LevelDebug, "the server refuses the new login; sending the password", op.attrs()...)
			cred = c.auth.byPassword(cred)
		default:
			c.auth.refused(cred, refusal)
			return nil, refusal
		}
		if f != nil {
			return nil, f
		}
	}
}

// roundTrip sends req once, following redirects as checkRedirect allows.
func (c *Client) roundTrip(hc *http.Client, op operation, req *http.Request) (*http.Response, *failure) {
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if op.request != "" {
		req.Header.Set("X-Request-ID", op.request)
	}
	var sent, reused atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { sent.Store(true); reused.Store(info.Reused) },
	}))
	start := time.Now()
	resp, err := hc.Do(req)
	c.exchanged(op, resp, time.Since(start))
	if err != nil {
		f := c.transportFailure(err, sent.Load(), reused.Load())
		c.log.LogAttrs(req.Context(), slog.LevelDebug, "no answer", op.attrs(slog.String("method", req.Method),
			slog.Duration("took", time.Since(start)), slog.Any("err", f))...)
		return nil, f
	}
	c.log.LogAttrs(req.Context(), slog.LevelDebug, "answer", op.attrs(slog.String("method", req.Method),
		slog.Int("code", resp.StatusCode), slog.Int64("len", resp.ContentLength), slog.Duration("took", time.Since(start)))...)
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		resp.Body.Close()
		return nil, protocolFailure("the answer is encoded as %s, which was not asked for", enc)
	}
	return resp, nil
}

// exchanged tells whoever wants to know of a request. resp is nil if there was no
// answer. A status that nobody has defined is told as the x00 of its class (RFC 9110,
// section 15), so that there are few.
func (c *Client) exchanged(op operation, resp *http.Response, took time.Duration) {
	if c.cfg.Exchanged == nil {
		return
	}
	code := 0
	if resp != nil {
		if code = resp.StatusCode; http.StatusText(code) == "" {
			code -= code % 100
		}
	}
	c.cfg.Exchanged(op.name, code, took)
}

// readAnswer reads a short answer to its end.
func (c *Client) readAnswer(resp *http.Response, limit int64, read func(body []byte) *failure) *failure {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.refusal(resp)
	}
	if isHTML(resp.Header.Get("Content-Type")) {
		return c.webPage(resp, "an answer; check the server URL")
	}
	if read == nil {
		// The content of such a success cannot change it. Reading a little lets the
		// connection be kept.
		_, _ = io.CopyN(io.Discard, resp.Body, maxRefusal)
		return nil
	}
	if limit == 0 {
		limit = maxAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		f := c.transportFailure(err, true, false)
		f.detail = "the answer broke off: " + f.detail
		return f
	case int64(len(body)) > limit:
		return protocolFailure("the answer is longer than %d bytes", limit)
	}
	return read(body)
}

// refusal returns the failure for an answer that is not a success.
func (c *Client) refusal(resp *http.Response) *failure {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	return c.answerFailure(resp, body)
}
