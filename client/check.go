package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"downloadfs/download"
)

// checkBudget is how long Check keeps trying: a person is waiting.
const checkBudget = 5 * time.Second

// Check reports whether the server can be reached, is an Alfresco and accepts
// the credentials: ErrUnavailable, ErrProtocol or ErrUnauthorized if not;
// ErrForbidden when something in front of the server keeps the user out. It keeps
// trying for a few seconds only.
func (c *Client) Check(ctx context.Context) error {
	op := operate("check", "check "+c.base.String())
	err := c.call(ctx, request{
		op: op, method: http.MethodGet, url: c.rootURL(), probe: true,
		budget: min(c.cfg.MaxElapsed, checkBudget),
	}, isNode)
	var f *failure
	switch {
	case !errors.As(err, &f):
		return err
	case f.kind == download.ErrForbidden && f.own:
		return nil // the root is not for everybody to read: the login was accepted
	case makesNoSense(f):
		return fmt.Errorf("%s: %w", op.text, &failure{kind: download.ErrProtocol, code: f.code, detail: f.Error()})
	}
	return err
}

// rootURL is what every Alfresco server has.
func (c *Client) rootURL() string { return c.core + "/nodes/-root-?fields=id" }

func isNode(body []byte) *failure {
	_, f := decodeNode(body)
	return f
}

// believeNotFound judges a 404 that is not in Alfresco's own words. A reverse
// proxy may have replaced Alfresco's page by its own; but some answer 404 for
// everything while the server behind them restarts, and a download must not be
// taken for deleted then. So it counts only if the API is there.
func (c *Client) believeNotFound(ctx context.Context, op operation, f *failure) *failure {
	probe := c.attempt(ctx, request{op: op, method: http.MethodGet, url: c.rootURL()}, c.cfg.RequestTimeout, isNode)
	if probe == nil || probe.own {
		return f
	}
	c.auth.reconsider()
	return &failure{kind: download.ErrUnavailable, code: f.code, unsent: true,
		detail: "the server's API is not there at the moment: " + f.detail}
}

// makesNoSense reports whether no Alfresco server could give this answer to a
// request for the root, which every one has.
func makesNoSense(f *failure) bool {
	for _, kind := range []error{download.ErrNotFound, download.ErrInvalid, download.ErrConflict, download.ErrArchived, download.ErrChanged} {
		if errors.Is(f, kind) {
			return true
		}
	}
	return false
}
