package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// person writes a client certificate for name and its key to dir, as an administrator
// who replaces both would.
func (a authority) person(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, &private.PublicKey, a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		require.NoError(t, os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	return cert, key
}

// The client shows the certificate, and the new one when its files are replaced.
// Proves S-117.
func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	var seen atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		if r.URL.Path == ticketsURL {
			entry(w, 201, map[string]any{"id": "TICKET_1"})
			return
		}
		entry(w, 200, downloadEntryOf("DONE"))
	}))
	srv.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, &x509.Certificate{IPAddresses: localhost()})},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	srv.StartTLS()
	defer srv.Close()
	dir := t.TempDir()
	cfg := testConfig(srv.URL)
	cfg.CACert = ca.file

	err := get(t, newClient(t, cfg))
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.ErrorContains(t, err, "--client-cert")

	cfg.ClientCert, cfg.ClientKey = ca.person(t, dir, "before")
	c := newClient(t, cfg)
	require.NoError(t, get(t, c))
	require.Equal(t, "before", seen.Load())

	require.NoError(t, os.WriteFile(cfg.ClientKey, []byte("half"), 0o600))
	srv.CloseClientConnections()
	require.NoError(t, get(t, c), "files that cannot be used just now")
	require.Equal(t, "before", seen.Load())

	ca.person(t, dir, "after")
	srv.CloseClientConnections()
	require.NoError(t, get(t, c))
	require.Equal(t, "after", seen.Load())

	require.NoError(t, os.Chmod(cfg.ClientKey, 0o644))
	_, err = New(cfg)
	require.ErrorContains(t, err, "chmod 600")
	cfg.ClientKey = filepath.Join(dir, "missing")
	_, err = New(cfg)
	require.ErrorIs(t, err, download.ErrInvalid)
}
