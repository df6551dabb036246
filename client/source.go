package client

import (
	"cmp"
	"context"
	"errors"
	"time"

	"downloadfs/download"
)

// PasswordSource gives the account's password, or a ticket. It is asked before each
// login, and once more when its password is not accepted. One goroutine at a time calls
// it, for as long as the Client lives. Its error wraps download.ErrUnauthorized, after
// which it is left alone for a while, or download.ErrUnavailable, which is tried again.
type PasswordSource func(ctx context.Context) (Secret, error)

// TokenSource gives the token that requests carry. It is asked when there is none, when
// the latest is about to end, and, with again, once after the server has refused the
// latest. Otherwise it is like PasswordSource. If its tokens are good for one request
// only, it is asked for each request, by many goroutines at a time. It may take some
// seconds to end after ctx.
type TokenSource func(ctx context.Context, again bool) (Token, error)

// Token is what requests carry in their Authorization header.
type Token struct {
	Value  Secret    // empty: the server knows the account in another way, for example by its certificate
	Scheme string    // how the server is told what Value is; empty: Bearer
	Expiry time.Time // zero: unknown
	Once   bool      // good for one request only; Expiry is when the source needs to renew what it makes tokens of
}

// header returns the value of Authorization.
func (t Token) header() string {
	if t.Value == "" {
		return ""
	}
	return cmp.Or(t.Scheme, "Bearer") + " " + t.Value.Reveal()
}

// renewAhead is how long before its end a token is replaced, if it lasts more than ten
// times as long.
const renewAhead = 30 * time.Second

// credential returns what requests carry from now on.
func (t Token) credential(now time.Time) credential {
	c := credential{ready: true, renewable: true, once: t.Once, expires: t.Expiry}
	if !t.Once {
		c.header = t.header()
	}
	if !t.Expiry.IsZero() {
		c.renewAt = t.Expiry.Add(-min(renewAhead, t.Expiry.Sub(now)/10))
	}
	return c
}

// sourceFailure returns the failure for a source's error.
func sourceFailure(err error) *failure {
	f := &failure{kind: download.ErrUnavailable, detail: download.Reason(err)}
	if f.detail == "" {
		f.detail = err.Error()
	}
	if errors.Is(err, download.ErrUnauthorized) {
		f.kind = download.ErrUnauthorized
	}
	return f
}
