package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"downloadfs/download"
)

// checkBudget is how long Check keeps trying: a person is waiting.
const checkBudget = 5 * time.Second

// Check reports whether the server can be reached, is an Alfresco and accepts
// the credentials: ErrUnavailable, ErrProtocol or ErrUnauthorized if not. It
// keeps trying for a few seconds only.
func (c *Client) Check(ctx context.Context) error {
	err := c.call(ctx, request{
		op: operate("check", "check "+c.base.String()), method: http.MethodGet,
		url:    c.core + "/nodes/-root-?fields=id",
		budget: min(c.cfg.MaxElapsed, checkBudget),
	}, func(body []byte) *failure {
		_, f := decodeNode(body)
		return f
	})
	return notAlfresco(err)
}

// notAlfresco turns what makes no sense for an address that every Alfresco
// server has into the plain statement that this is none.
func notAlfresco(err error) error {
	for _, kind := range []error{download.ErrNotFound, download.ErrInvalid, download.ErrConflict, download.ErrArchived, download.ErrChanged} {
		if errors.Is(err, kind) {
			return &misplaced{err}
		}
	}
	return err
}

// misplaced is an answer that shows that the server is no Alfresco.
type misplaced struct{ err error }

func (m *misplaced) Error() string {
	return download.ErrProtocol.Error() + ": this does not look like an Alfresco server (" + m.err.Error() + ")"
}

func (m *misplaced) Unwrap() error { return download.ErrProtocol }
