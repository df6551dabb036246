package client

import (
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

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
	ends, err := parseURL("http://ecm.example.org", true)
	require.NoError(t, err)
	require.Equal(t, "http://ecm.example.org", ends.base.String())
}

// Proves S-67.
func TestParseURLRefuses(t *testing.T) {
	for given, says := range map[string]string{
		"":                                      "no server URL",
		"ecm.example.org":                       "must begin with https://",
		"ecm.example.org:8443":                  "https://",
		"ftp://ecm.example.org":                 "must begin with https://",
		"https://":                              "names no host",
		"https:///alfresco":                     "names no host",
		"https:ecm.example.org":                 "must begin with https://",
		"https://ecm.example.org/?x=sesame":     "before any ?",
		"https://ecm.example.org/#sesame":       "before any ?",
		"https://bob:sesame@ecm.example.org":    "ALFRESCO_PASSWORD",
		"https://sesame@ecm.example.org":        "ALFRESCO_PASSWORD",
		"https://bob:sesame@ecm .example.org":   "cannot be read",
		"gopher://x?alf_ticket=sesame":          "must begin with https://",
		"http://ecm.example.org":                "--allow-http",
		"http://localhost.example.org":          "--allow-http",
		"http://127.0.0.1.example.org/alfresco": "--allow-http",
		"http://10.0.0.1":                       "--allow-http",
		"http://[fe80::1]":                      "--allow-http",
	} {
		_, err := parseURL(given, false)
		require.ErrorIs(t, err, download.ErrInvalid, given)
		require.ErrorContains(t, err, says, given)
		require.NotContains(t, err.Error(), "sesame", given)
	}
}
