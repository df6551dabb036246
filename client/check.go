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
// the credentials: ErrUnavailable, ErrProtocol or ErrUnauthorized if not. It
// keeps trying for a few seconds only.
func (c *Client) Check(ctx context.Context) error {
	op := operate("check", "check "+c.base.String())
	err := c.call(ctx, request{
		op: op, method: http.MethodGet,
		url:    c.core + "/nodes/-root-?fields=id",
		budget: min(c.cfg.MaxElapsed, checkBudget),
	}, func(body []byte) *failure {
		_, f := decodeNode(body)
		return f
	})
	var f *failure
	if errors.As(err, &f) && makesNoSense(f) {
		return fmt.Errorf("%s: %w: this does not look like an Alfresco server (%s)", op.text, download.ErrProtocol, f)
	}
	return err
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
