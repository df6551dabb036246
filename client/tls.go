package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// tlsConfig trusts the system's roots and those in the CA file, if given, and
// shows the client certificate to a server that asks for one.
func tlsConfig(c Config) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ClientCert != "" {
		pair, err := newKeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = pair.get
	}
	caFile := c.CACert
	if caFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, invalid("CA certificate (--ca-cert): %v", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		// A system without roots is no reason to refuse the given CA file.
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, invalid("CA certificate (--ca-cert): %s holds no PEM certificate", caFile)
	}
	cfg.RootCAs = roots
	return cfg, nil
}

// TLSSentence says in a sentence why the server's certificate or TLS was refused and
// what to do about it. It returns false when err is of another kind. None of these
// errors passes within a retry budget.
func TLSSentence(host string, err error) (string, bool) {
	var (
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		roots    x509.SystemRootsError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		protocol *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("the certificate of %s is signed by an authority that this system does not know; "+
			"if it is your organisation's own, give its certificate with --ca-cert FILE", host), true
	case errors.As(err, &name) && len(name.Certificate.DNSNames)+len(name.Certificate.IPAddresses) == 0:
		return fmt.Sprintf("the certificate of %s names no host but in its common name, which no current program looks at; "+
			"the server's administrator must have one made with a subjectAltName", host), true
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate is not one for %s (%v); use the host name it was made for", host, name), true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s has expired or is not valid yet (%s); "+
			"the server's administrator must renew it, unless this machine's clock is wrong", host, invalid.Detail), true
	case errors.As(err, &roots):
		return "this system has no CA certificates; install them (package ca-certificates) or give one with --ca-cert FILE", true
	case errors.As(err, &invalid), errors.As(err, &verify):
		return fmt.Sprintf("the certificate of %s is refused (%v); "+
			"if it is your organisation's own, give its authority's certificate with --ca-cert FILE", host, err), true
	case errors.As(err, &record):
		return fmt.Sprintf("%s does not speak TLS at this port; check scheme and port of the server URL", host), true
	case errors.As(err, &protocol) && protocol.Op == "remote error" && strings.Contains(protocol.Err.Error(), "certificate"):
		return fmt.Sprintf("%s wants a client certificate that it accepts (%v); give one with --client-cert and --client-key", host, protocol.Err), true
	case errors.As(err, &protocol) && protocol.Op == "remote error":
		return fmt.Sprintf("%s refuses the TLS connection (%v)", host, protocol.Err), true
	}
	return "", false
}
