package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A login page, at the end of a redirect or in place of an answer, means that a login
// is wanted. Any other page or redirect means a wrong URL.
// Proves S-119.
func TestWebLogin(t *testing.T) {
	const page = `<html><form action="/x"><input name=u><input type="password" name="p"></form></html>`
	for name, c := range map[string]struct {
		location, body string
		login          bool
	}{
		"keycloak":       {location: "https://sso.example.org/realms/alfresco/protocol/openid-connect/auth?client_id=x&response_type=code&state=s3cret", login: true},
		"entra":          {location: "https://login.example.org/common/oauth2/v2.0/authorize?client_id=x", login: true},
		"saml":           {location: "https://idp.example.org/x?SAMLRequest=s3cret", login: true},
		"adfs":           {location: "https://fs.example.org/adfs/ls/?wa=wsignin1.0", login: true},
		"its own page":   {location: "/share/login.jsp?to=s3cret", login: true},
		"form":           {body: page, login: true},
		"saml form":      {body: `<form method="post"><input type="hidden" name="SAMLRequest" value="s3cret">`, login: true},
		"wrong host":     {location: "https://www.example.org/"},
		"wrong page":     {body: "<html>Welcome to nginx</html>"},
		"not the log in": {location: "https://www.example.org/catalogin/x"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{useTicket, useBasic} { // the POST of the login, a GET
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c.location != "" {
						http.Redirect(w, r, c.location, http.StatusFound)
						return
					}
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					_, _ = w.Write([]byte(c.body))
				}))
				defer srv.Close()
				err := logIn(newClient(t, testConfig(srv.URL)), way).Check(t.Context())
				if c.login {
					require.ErrorIs(t, err, download.ErrUnauthorized, way)
					require.ErrorContains(t, err, "web browser", way)
					require.ErrorContains(t, err, "downloadfs login", way)
				} else {
					require.ErrorIs(t, err, download.ErrProtocol, way)
				}
				require.False(t, strings.Contains(err.Error(), "s3cret"), err)
			}
		})
	}
}
