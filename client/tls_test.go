package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// authority is a CA made for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return authority{cert, key, file}
}

// issue returns a server certificate as template says.
func (a authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber = big.NewInt(2)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func localhost() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1)} }

// Proves S-68.
func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good := ca.issue(t, &x509.Certificate{IPAddresses: localhost()})
	for name, c := range map[string]struct {
		server *tls.Config
		ca     string
		says   []string // none: it works
	}{
		"given authority": {&tls.Config{Certificates: []tls.Certificate{good}}, ca.file, nil},
		"no name but a common one": {&tls.Config{Certificates: []tls.Certificate{
			ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}})}}, ca.file, []string{"127.0.0.1", "subjectAltName"}},
		"TLS 1.2": {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, ca.file, nil},
		"unknown authority": {&tls.Config{Certificates: []tls.Certificate{good}}, "",
			[]string{"does not know", "--ca-cert"}},
		"another authority": {&tls.Config{Certificates: []tls.Certificate{good}}, stranger.file,
			[]string{"--ca-cert"}},
		"wrong host": {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, &x509.Certificate{DNSNames: []string{"other.example.org"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}})}}, ca.file,
			[]string{"not one for 127.0.0.1"}},
		"expired": {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, &x509.Certificate{IPAddresses: localhost(),
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})}}, ca.file,
			[]string{"expired", "clock"}},
		"not yet valid": {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, &x509.Certificate{IPAddresses: localhost(),
			NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)})}}, ca.file,
			[]string{"not valid yet"}},
		"only TLS 1.1": {&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ca.file,
			[]string{"TLS"}},
		"client certificate wanted": {&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, ca.file,
			[]string{"refuses the TLS connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			var handshakes, requests atomic.Int64
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if strings.HasSuffix(r.URL.Path, "/tickets") {
					entry(w, 201, map[string]any{"id": "TICKET_1"})
					return
				}
				entry(w, 200, map[string]any{"id": "root-1"})
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.TLS = c.server.Clone()
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					handshakes.Add(1)
				}
			}
			srv.StartTLS()
			defer srv.Close()
			// StartTLS adds a certificate of its own behind ours.
			cfg := testConfig(srv.URL)
			cfg.CACert = c.ca
			client := newClient(t, cfg)
			err := client.Check(t.Context())
			if c.says == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, download.ErrUnavailable)
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
			_, err = client.Create(t.Context(), []download.NodeID{"a"})
			require.ErrorIs(t, err, download.ErrUnavailable)
			require.NotErrorIs(t, err, download.ErrUncertain)
			require.Zero(t, requests.Load(), "no request leaves before the certificate is believed")
			require.Equal(t, int64(2), handshakes.Load(), "not tried again")
		})
	}
}

func TestHTTPSchemeMismatch(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { entry(w, 200, map[string]any{"id": "x"}) })
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	err := newClient(t, testConfig(strings.Replace(srv.URL, "http:", "https:", 1))).Check(t.Context())
	require.ErrorIs(t, err, download.ErrProtocol)
	require.ErrorContains(t, err, "scheme and port")

	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer secure.Close()
	err = newClient(t, testConfig(strings.Replace(secure.URL, "https:", "http:", 1))).Check(t.Context())
	require.ErrorIs(t, err, download.ErrProtocol)
}
