package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"downloadfs/download"
)

const (
	// checkBudget is how long Check keeps trying: a person is waiting.
	checkBudget = 5 * time.Second
	// nearbyTimeout is how long it then looks for a server at another path of at most
	// maxNearby parts.
	nearbyTimeout = 3 * time.Second
	maxNearby     = 4

	rootPath = "/nodes/-root-?fields=id"
)

// Check reports whether the server can be reached, is an Alfresco and accepts the
// credentials. If not, it returns ErrUnavailable, ErrProtocol or ErrUnauthorized. When
// a server is starting or out of reach, a proxy in front of it answers in its place:
// that is ErrUnavailable too. Check keeps trying for a few seconds only.
func (c *Client) Check(ctx context.Context) error {
	op := operate("check", "check "+c.base.String())
	err := c.call(ctx, request{
		op: op, method: http.MethodGet, url: c.rootURL(), probe: true,
		budget: min(c.cfg.MaxElapsed, checkBudget),
	}, isNode)
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	if f.own && errors.Is(f, download.ErrForbidden) {
		return nil // not everybody may read the root: the login was accepted
	}
	if makesNoSense(f) {
		f = &failure{kind: download.ErrProtocol, code: f.code, own: f.own, detail: f.Error()}
	}
	if !f.own && (f.code != 0 || f.kind == download.ErrProtocol) {
		if at := c.nearby(ctx); at != nil {
			f.detail += fmt.Sprintf("; there is an Alfresco server at %s; give that address", at)
		}
	}
	return fmt.Errorf("%s: %w", op.text, f)
}

// nearby returns the address of an Alfresco server nearer to the root of this host than
// the given one; nil if there is none. It sends no login: it may be another server.
func (c *Client) nearby(ctx context.Context) *url.URL {
	ctx, cancel := context.WithTimeout(ctx, nearbyTimeout)
	defer cancel()
	parts := strings.Split(strings.Trim(c.base.Path, "/"), "/")
	if apiRoot.MatchString(c.base.Path) || len(parts) > maxNearby {
		return nil
	}
	for n := len(parts) - 1; n >= 0 && c.base.Path != ""; n-- {
		at := *c.base
		at.Path = slashed(parts[:n])
		op := operate("check", "check "+at.String())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpointsOf(&at).core+rootPath, nil)
		if err != nil {
			return nil
		}
		resp, f := c.roundTrip(c.api, op, req)
		if f != nil {
			continue
		}
		f = c.readAnswer(resp, maxAnswer, isNode)
		resp.Body.Close()
		if f == nil || f.own {
			return &at
		}
	}
	return nil
}

// rootURL returns the URL of the root node, which every Alfresco server has.
func (c *Client) rootURL() string { return c.core + rootPath }

func isNode(body []byte) *failure {
	_, f := decodeNode(body)
	return f
}

// elsewhere reports whether f is a 403 or 404 that is not in Alfresco's own words.
func (f *failure) elsewhere() bool {
	return f != nil && !f.own && (f.code == http.StatusNotFound || f.code == http.StatusForbidden)
}

// believeRefusal judges a 403 or 404 that is not in Alfresco's own words. A reverse
// proxy may have replaced Alfresco's page by its own. But some answer like this to
// everything while the server behind them restarts: Tomcat until it has deployed
// Alfresco, a gateway until the VPN is up. A download must not count as deleted then,
// so the answer counts only if the API is there.
func (c *Client) believeRefusal(ctx context.Context, op operation, f *failure) *failure {
	probe := c.attempt(ctx, request{op: op, method: http.MethodGet, url: c.rootURL()}, c.cfg.RequestTimeout, isNode)
	if probe == nil || probe.own {
		return f
	}
	return c.away(f)
}

// away returns what a 403 or 404 means while no API is there.
func (c *Client) away(f *failure) *failure {
	c.auth.reconsider()
	return &failure{kind: download.ErrUnavailable, code: f.code, unsent: true,
		detail: "the server's API is not there at the moment: " + f.detail}
}

// makesNoSense reports whether no Alfresco server could give this answer to a request
// for the root, which every server has.
func makesNoSense(f *failure) bool {
	for _, kind := range []error{download.ErrNotFound, download.ErrInvalid, download.ErrConflict, download.ErrArchived, download.ErrChanged} {
		if errors.Is(f, kind) {
			return true
		}
	}
	return false
}
