package faults

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAuthority(t *testing.T) {
	ca := NewAuthority(t)
	pem, err := os.ReadFile(ca.File())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))

	get := func(cert tls.Certificate, roots *x509.CertPool) error {
		s := NewTLSServer(t, archiveServer(t), cert)
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
		resp, err := c.Get(s.URL() + coreRoot + "/nodes/x/content")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	later := time.Now().Add(time.Hour)
	require.NoError(t, get(ca.Issue(later, "127.0.0.1"), pool))

	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, get(ca.Issue(later, "127.0.0.1"), x509.NewCertPool()), &unknown)
	var host x509.HostnameError
	require.ErrorAs(t, get(ca.Issue(later, "elsewhere.example"), pool), &host)
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, get(ca.Issue(time.Now().Add(-time.Hour), "127.0.0.1"), pool), &invalid)
	require.Equal(t, x509.Expired, invalid.Reason)
}
