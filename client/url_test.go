package client

import (
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Proves S-115.
func TestParseURL(t *testing.T) {
	const api = "/api/-default-/public/"
	for given, want := range map[string]string{
		"https://ecm.example.org":                                                         "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/":                                                        "https://ecm.example.org/alfresco" + api,
		"  https://ECM.example.org:8443//\n":                                              "https://ecm.example.org:8443/alfresco" + api,
		"https://ecm.example.org/alfresco":                                                "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/alfresco/":                                               "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/docs":                                                    "https://ecm.example.org/docs/alfresco" + api,
		"https://ecm.example.org/docs/alfresco":                                           "https://ecm.example.org/docs/alfresco" + api,
		"https://ecm.example.org/alfresco/api":                                            "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/alfresco/api/-default-/public":                           "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/alfresco/api/-default-/public/alfresco/versions/1":       "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/alfresco/api/-default-/public/alfresco/versions/1/":      "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/alfresco/api/-default-/public/authentication/versions/1": "https://ecm.example.org/alfresco" + api,
		"https://ecm.example.org/content/api/tenant.org/public/alfresco/versions/1":       "https://ecm.example.org/content/api/tenant.org/public/",
		"http://localhost:8080":                                                           "http://localhost:8080/alfresco" + api,
		"http://127.0.0.1:8080/alfresco":                                                  "http://127.0.0.1:8080/alfresco" + api,
		"http://127.9.9.9":                                                                "http://127.9.9.9/alfresco" + api,
		"http://[::1]:8080":                                                               "http://[::1]:8080/alfresco" + api,
	} {
		ends, err := parseURL(given, false)
		require.NoError(t, err, given)
		require.Equal(t, want+"alfresco/versions/1", ends.core, given)
		require.Equal(t, want+"authentication/versions/1", ends.auth, given)
	}
	// Addresses that a person finds in a browser's address bar or in a client's
	// settings.
	for _, given := range []string{
		"share", "share/", "share/page", "share/page/", "share/page/user/finn/dashboard", "share/page/site/alfresco/documentlibrary#filter=path%7C%2Fx&page=1",
		"share/page/document-details?nodeRef=workspace://SpacesStore/0f7e5a0c-3f0e-4f0a-8d5e-7d1d3b8f1a11", "share/proxy/alfresco-api/-default-/public",
		"workspace", "workspace/", "workspace/#/libraries/0f7e5a0c-3f0e-4f0a-8d5e-7d1d3b8f1a11/(viewer:view/x)", "digital-workspace/#/personal-files",
		"content-app/#/login?redirectUrl=%2F", "aca/#/trashcan", "#/personal-files", "control-center/",
		"alfresco", "alfresco/", "alfresco/faces", "alfresco/faces/jsp/login.jsp", "alfresco/s/index", "alfresco/service/api/login?x=y", "alfresco/webdav/Sites", "alfresco/aos",
		"alfresco/api/-default-/public/alfresco/versions/1/nodes/-root-/children?maxItems=3", "alfresco/api/-default-/public/cmis/versions/1.1/browser",
		"api-explorer", "api-explorer/", "api-explorer/#!/downloads/createDownload", "api-explorer/index.html",
	} {
		for _, context := range []string{"", "/docs", "/a/b"} {
			server, err := ServerURL("https://ecm.example.org" + context + "/" + given)
			require.NoError(t, err, given)
			require.Equal(t, "https://ecm.example.org"+context, server.String(), given)
			again, err := ServerURL(server.String())
			require.NoError(t, err)
			require.Equal(t, server, again)
		}
	}
	for given, want := range map[string]string{
		"https://h/share/alfresco":                                 "https://h/share/alfresco", // a repository whose path is below one so called
		"https://h/alfresco/api/acme.org/public/alfresco":          "https://h/alfresco/api/acme.org/public",
		"https://h/content/api/-default-/public/alfresco/versions": "https://h/content/api/-default-/public",
		"https://h/a%20b/share/page":                               "https://h/a%20b",
	} {
		server, err := ServerURL(given)
		require.NoError(t, err)
		require.Equal(t, want, server.String())
		again, err := ServerURL(server.String())
		require.NoError(t, err)
		require.Equal(t, server.String(), again.String())
	}

	ends, err := parseURL("http://ecm.example.org", true)
	require.NoError(t, err)
	require.Equal(t, "http://ecm.example.org", ends.base.String())
}

// Proves S-67.
func TestParseURLRefuses(t *testing.T) {
	for given, says := range map[string]string{
		"":                      "no server URL",
		"ecm.example.org":       "must begin with https://",
		"ecm.example.org:8443":  `the server URL "ecm.example.org:8443" must begin with https:// (or http://)`,
		"127.0.0.1:18181":       `the server URL "127.0.0.1:18181" must begin with https:// (or http://)`,
		"finn:sesame@h:80":      "https://",
		"ftp://ecm.example.org": "must begin with https://",
		"https://":              "names no host",
		"https:///alfresco":     "names no host",
		"https:ecm.example.org": "must begin with https://",
		"https://ecm.example.org/?alf_ticket=sesame":     "which every local user can see",
		"https://ecm.example.org/share/#x=TICKET_sesame": "which every local user can see",
		"ftp://ecm.example.org/?x=sesame#sesame":         "must begin with https://",
		"https://bob:sesame@ecm.example.org":             "ALFRESCO_PASSWORD",
		"https://sesame@ecm.example.org":                 "ALFRESCO_PASSWORD",
		"https://bob:sesame@ecm .example.org":            "cannot be read",
		"gopher://x?alf_ticket=sesame":                   "which every local user can see",
		"http://ecm.example.org":                         "--allow-http",
		"http://localhost.example.org":                   "--allow-http",
		"http://127.0.0.1.example.org/alfresco":          "--allow-http",
		"http://10.0.0.1":                                "--allow-http",
		"http://[fe80::1]":                               "--allow-http",
	} {
		_, err := parseURL(given, false)
		require.ErrorIs(t, err, download.ErrInvalid, given)
		require.ErrorContains(t, err, says, given)
		require.NotContains(t, err.Error(), "sesame", given)
		require.NotContains(t, err.Error(), download.ErrInvalid.Error(), "a word for programs")
	}
}
