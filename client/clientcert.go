package client

import (
	"crypto/tls"
	"os"
	"sync"
	"time"
)

// keyPair is a client certificate in files. It reads them again when they have changed.
type keyPair struct {
	cert, key string

	mu   sync.Mutex // guards all below
	pair *tls.Certificate
	seen [2]fileState
}

// fileState tells whether a file has changed.
type fileState struct {
	modified time.Time
	size     int64
}

// newKeyPair reads a client certificate; key may be empty if the key is in the
// certificate's file.
func newKeyPair(cert, key string) (*keyPair, error) {
	if key == "" {
		key = cert
	}
	k := &keyPair{cert: cert, key: key}
	if info, err := os.Stat(key); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o027 != 0 {
		return nil, invalid("others can read or write the key %s; run: chmod 600 %s", key, key)
	}
	if err := k.read(); err != nil {
		return nil, invalid("client certificate (--client-cert, --client-key): %v", err)
	}
	return k, nil
}

// read reads the files if they have changed. mu is held, except the first time.
func (k *keyPair) read() error {
	var seen [2]fileState
	for i, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		seen[i] = fileState{info.ModTime(), info.Size()}
	}
	if k.pair != nil && seen == k.seen {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return err
	}
	k.pair, k.seen = &pair, seen
	return nil
}

// get is for tls.Config. While the files cannot be used, for example because only one
// of them has been replaced yet, it returns the previous certificate.
func (k *keyPair) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.read()
	return k.pair, nil
}
