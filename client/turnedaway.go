package client

import (
	"net/http"
	"regexp"
	"strings"
)

// noServerPage matches the pages of proxies that have found no server to pass a request
// on to, or do not pass it on because there are too many: Apache, HAProxy, nginx,
// Amazon's balancers, Envoy and Traefik. When a connection breaks, nginx and the others
// say 502, except Envoy, whose page tells which it was.
var noServerPage = regexp.MustCompile(`The server is temporarily unable to service your\s+request due to maintenance downtime or capacity` +
	`|No server is available to handle this request` +
	`|<center><h1>503 Service Temporarily Unavailable</h1></center>` +
	`|(?:^|\W)(?:no healthy upstream|upstream connect error or disconnect/reset before headers\. (?:retried and the latest )?reset reason: (?:remote )?connection (?:failure|timeout)|no available server)`)

// turnedAway reports whether an answer is from a proxy that certainly has not passed
// the request on.
func turnedAway(resp *http.Response, body []byte) bool {
	if resp.StatusCode != http.StatusServiceUnavailable {
		return false
	}
	// Squid says so in a header.
	switch name, _, _ := strings.Cut(resp.Header.Get("X-Squid-Error"), " "); name {
	case "ERR_CONNECT_FAIL", "ERR_DNS_FAIL":
		return true
	}
	return noServerPage.Match(body)
}
