package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"downloadfs/download"
)

// Client is one account on one server. Its methods are safe for concurrent use.
type Client struct {
	cfg   Config
	base  *url.URL // the server, for messages
	core  string   // root of the core API
	login string   // address of the tickets API
	log   *slog.Logger
	scrub scrubber
	auth  *session
	jar   *cookies

	api     *http.Client // for short answers
	once    *http.Client // for requests that must not be sent twice
	content *http.Client // for streams

	warnRange sync.Once      // a server that ignores ranges is reported once
	warnRetry rate.Sometimes // an outage hits many calls at once
}

var (
	_ download.Service = (*Client)(nil)
	_ download.Source  = (*Client)(nil)
)

// New returns a client for cfg. It makes no request. Its errors wrap
// download.ErrInvalid and name the setting.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ends, err := parseURL(cfg.URL, cfg.AllowHTTP)
	if err != nil {
		return nil, err
	}
	tlsCfg, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	jar := newCookies(ends.base.Hostname())
	session, scrub := newSession(cfg), newScrubber(cfg.Username, cfg.Password).also(jar.redact)
	cfg.Password = "" // printing a Client cannot show it
	c := &Client{
		cfg:   cfg,
		base:  ends.base,
		core:  ends.core,
		login: ends.auth + "/tickets",
		log:   cfg.Logger,
		scrub: scrub,
		auth:  session,
		jar:   jar,

		warnRetry: rate.Sometimes{Interval: 5 * time.Second},
	}
	session.request, session.learn = c.requestTicket, scrub.learn
	c.api = c.httpClient(newTransport(cfg, tlsCfg))
	c.once = c.httpClient(onceTransport(cfg, tlsCfg))
	c.content = c.httpClient(contentTransport(cfg, tlsCfg))
	return c, nil
}

// Format writes which server the client is for, whatever the verb, because the fields
// hold the login.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "client(%s)", c.base) }

func (c *Client) httpClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: c.checkRedirect, Jar: c.jar}
}

// Close ends a running login, waits for its end, which takes some seconds at most, and
// closes idle connections. Calls and streams that are still running end with their
// contexts.
func (c *Client) Close() {
	c.auth.close()
	for _, hc := range []*http.Client{c.api, c.once, c.content} {
		hc.CloseIdleConnections()
	}
}
