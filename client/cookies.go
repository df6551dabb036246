package client

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
)

const (
	// maxCookies and maxCookieBytes bound what is kept and sent back; most servers
	// refuse a request with more than 8 KiB of headers.
	maxCookies     = 50
	maxCookieBytes = 6 << 10
	// leastSecret is the shortest cookie value that is kept from logs. A shorter one is
	// a node's name.
	leastSecret = 8
)

// cookies sends back what the server, or a load balancer in front of it, wants to see
// again, for example which node of a cluster knows this user's ticket. Cookies are for
// the server's host only and stay in memory.
type cookies struct {
	host string

	mu    sync.Mutex // guards all below
	jar   *cookiejar.Jar
	size  int
	known map[string]string // values, by the cookies' names and places
}

var _ http.CookieJar = (*cookies)(nil)

func newCookies(host string) *cookies {
	c := &cookies{host: host}
	c.forget()
	return c
}

// forget empties the jar; mu is held.
func (c *cookies) forget() {
	c.jar, _ = cookiejar.New(nil) // never an error
	c.size, c.known = 0, make(map[string]string)
}

func (c *cookies) ours(u *url.URL) bool { return strings.EqualFold(u.Hostname(), c.host) }

// SetCookies implements http.CookieJar. When there are too many cookies, it drops the
// old ones.
func (c *cookies) SetCookies(u *url.URL, set []*http.Cookie) {
	if !c.ours(u) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var size int
	for _, k := range set {
		size += len(k.Name) + len(k.Value)
	}
	if len(set) > maxCookies || size > maxCookieBytes {
		return // a real session needs fewer
	}
	for _, k := range set {
		place := k.Name + "\x00" + k.Domain + "\x00" + k.Path
		old, known := c.known[place]
		if known {
			c.size -= len(k.Name) + len(old)
		}
		if c.size += len(k.Name) + len(k.Value); len(c.known) >= maxCookies && !known || c.size > maxCookieBytes {
			c.forget()
			c.size = len(k.Name) + len(k.Value)
		}
		c.known[place] = k.Value
		c.jar.SetCookies(u, []*http.Cookie{k})
	}
}

// Cookies implements http.CookieJar.
func (c *cookies) Cookies(u *url.URL) []*http.Cookie {
	if !c.ours(u) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jar.Cookies(u)
}

// redact removes the cookies' values from text.
func (c *cookies) redact(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range c.known {
		if len(value) >= leastSecret {
			text = strings.ReplaceAll(text, value, redacted)
		}
	}
	return text
}
