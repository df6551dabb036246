package client

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"downloadfs/download"
)

var (
	// loginPath matches the paths of login pages: Keycloak's, Entra's, AD FS's, CAS's,
	// SAML's, and those of web applications.
	loginPath = regexp.MustCompile(`(?i)/(?:log-?in|sign-?in|sso|saml2?|oauth2?|openid-connect|adfs|cas|idp)(?:[/.;]|$)`)
	// loginField matches what only a login page has.
	loginField = regexp.MustCompile(`(?i)<input[^>]*\btype\s*=\s*["']?password|name\s*=\s*["']SAMLRequest["']`)
)

// isLoginPage reports whether u is the address of a page where people log in with a
// browser.
func isLoginPage(u *url.URL) bool {
	q := u.Query()
	return loginPath.MatchString(u.Path) || q.Has("SAMLRequest") || q.Has("client_id") && q.Has("response_type")
}

// webLogin returns the failure for a server that sends people to such a page.
func webLogin(where string) *failure {
	return &failure{kind: download.ErrUnauthorized, lasting: true, detail: fmt.Sprintf("single sign-on is in front of it and wants a login in a web browser, at %s; "+
		"run 'downloadfs login URL' if that is OpenID Connect, or ask for an address at which the API takes a password", where)}
}

// webPage returns the failure for a page for people in place of something else.
func (c *Client) webPage(resp *http.Response, instead string) *failure {
	page, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if loginField.Match(page) {
		return webLogin(c.place(resp.Request.URL.String()))
	}
	return protocolFailure("a web page came instead of %s", instead)
}
