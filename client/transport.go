package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"downloadfs/download"
)

const (
	// Tomcat, which Alfresco runs in, closes a kept connection after 20 s. The client
	// closes it first, so no request meets a connection that is just being closed.
	keepConnections = 15 * time.Second
	maxHeaderBytes  = 64 << 10
	maxRedirects    = 5
)

// newTransport returns a transport for HTTP/1.1 without decompression. HTTP/2 would put
// parallel streams of an archive on one connection and have them share its window, but
// a second stream is only worth opening on a connection of its own. Without
// decompression, no small body can become a huge one.
func newTransport(cfg Config, tlsCfg *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{
		Timeout: cfg.DialTimeout,
		// A server that vanishes while it owes an answer is noticed after 30 s.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &http.Transport{
		Proxy:                  proxyFromEnvironment,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsCfg.Clone(),
		TLSHandshakeTimeout:    cfg.TLSTimeout,
		Protocols:              &protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        keepConnections,
	}
}

// contentTransport returns the transport for streams, which are read in large pieces.
// The stream itself bounds how long it waits for them.
func contentTransport(cfg Config, tlsCfg *tls.Config) *http.Transport {
	t := newTransport(cfg, tlsCfg)
	t.ReadBufferSize = 128 << 10
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 16, 16
	return t
}

// onceTransport returns the transport for requests that must not be sent twice. Each
// goes on a new connection: if the server is just closing a kept connection, nobody can
// tell whether it still accepted the request.
func onceTransport(cfg Config, tlsCfg *tls.Config) *http.Transport {
	t := newTransport(cfg, tlsCfg)
	t.DisableKeepAlives = true
	return t
}

// proxyFromEnvironment honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY; requests to
// this machine never go through a proxy.
func proxyFromEnvironment(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		// The error quotes the setting, which may hold a password.
		return nil, &failure{kind: download.ErrInvalid, detail: "HTTPS_PROXY or HTTP_PROXY in the environment is not a URL", unsent: true, lasting: true}
	}
	return u, nil
}

// proxyAnswer looks at a proxy's answer to CONNECT.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusProxyAuthRequired {
		return nil // the transport turns other refusals into errors
	}
	detail := fmt.Sprintf("the proxy %s wants a login; give it in HTTPS_PROXY, as http://USER:PASSWORD@HOST", proxy.Host)
	if proxy.User != nil {
		detail = fmt.Sprintf("the proxy %s refuses the login that is in HTTPS_PROXY", proxy.Host)
	}
	return &failure{kind: kindOf(resp.StatusCode), code: resp.StatusCode, unsent: true, lasting: true, detail: detail}
}

// NewHTTPClient returns a client for another server that is part of logging in to
// cfg's, such as an identity provider. It has the same trust, certificate and limits,
// and follows no redirects. Its requests carry no login.
func NewHTTPClient(cfg Config) (*http.Client, error) {
	cfg = cfg.withTimes()
	tlsCfg, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport:     newTransport(cfg, tlsCfg),
		Timeout:       cfg.RequestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
