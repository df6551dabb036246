package client

import (
	"net/http"
	"net/url"
	"strings"
)

// checkRedirect lets a GET follow a redirect to the same server, with the credentials.
// Anything else is not part of the API but a login page, another host or a wrong URL:
// it ends the request with a sentence. A redirected POST or DELETE is not followed,
// since a client would have to guess what to send.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	from := via[0]
	switch {
	case from.Method != http.MethodGet:
		return http.ErrUseLastResponse
	case isLoginPage(req.URL):
		return webLogin(c.place(req.URL.String()))
	case len(via) > maxRedirects:
		return protocolFailure("the server redirects in a circle or more than %d times, last to %s", maxRedirects, c.place(req.URL.String()))
	case from.URL.Scheme == "https" && req.URL.Scheme != "https":
		return protocolFailure("the server redirects from https to %s: not followed, since it would show the password to the network", c.place(req.URL.String()))
	case !sameServer(from.URL, req.URL):
		return protocolFailure("the server redirects to %s: not followed, since the login is for %s only; "+
			"if the server has moved or is behind single sign-on, give the address at which its API answers", c.place(req.URL.String()), from.URL.Host)
	}
	return c.auth.again(req)
}

// sameServer reports whether to is the server that from is: the same scheme,
// host and port, or the same host over TLS in place of plain http.
func sameServer(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) || to.User != nil {
		return false
	}
	if from.Scheme == "http" && to.Scheme == "https" {
		return true
	}
	return from.Scheme == to.Scheme && port(from) == port(to)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
