package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// cluster is two nodes behind a balancer that knows a client by its cookie. It sends a
// client without one to the other node each time. Each node knows only its own tickets.
type cluster struct {
	mu     sync.Mutex
	turns  int
	codes  []int
	sticky bool
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := fmt.Sprint("node-", c.turns%2)
	c.turns++
	if k, err := r.Cookie("ROUTE"); err == nil && c.sticky {
		node = k.Value
	} else if c.sticky {
		http.SetCookie(w, &http.Cookie{Name: "ROUTE", Value: node, Path: "/", HttpOnly: true})
	}
	// A session's cookie changes with each answer.
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: fmt.Sprintf("0123456789abcdef-%d", c.turns), Path: "/alfresco"})
	ticket := "TICKET_" + node
	if strings.HasSuffix(r.URL.Path, "/tickets") {
		entry(w, 201, map[string]any{"id": ticket, "userId": "admin"})
		return
	}
	auth := r.Header.Get("Authorization")
	if auth != basicAuth(ticket) && auth != basicAuth("admin:pa55word!") {
		c.codes = append(c.codes, 401)
		refuse(w, 401, "no such ticket here")
		return
	}
	c.codes = append(c.codes, 200)
	entry(w, 200, downloadEntryOf("PENDING"))
}

// A balancer that knows its clients by a cookie always finds the node that has
// the ticket.
// Proves S-72.
func TestCookiesKeepTheNode(t *testing.T) {
	g := &cluster{sticky: true}
	c := newClient(t, testConfig(serverOf(t, g)))
	for range 6 {
		require.NoError(t, get(t, c))
	}
	require.Equal(t, []int{200, 200, 200, 200, 200, 200}, g.codes)
}

// Proves S-72.
func TestCookiesAreForTheHostAlone(t *testing.T) {
	jar := newCookies("ecm.example.org")
	at := func(s string) *url.URL {
		u, err := url.Parse(s)
		require.NoError(t, err)
		return u
	}
	jar.SetCookies(at("https://ecm.example.org/x"), []*http.Cookie{
		{Name: "mine", Value: "1", Path: "/"}, {Name: "parent", Value: "2", Domain: "example.org", Path: "/"}, {Name: "alien", Value: "3", Domain: "example.com", Path: "/"},
	})
	jar.SetCookies(at("https://www.example.org/"), []*http.Cookie{{Name: "other", Value: "4", Domain: "example.org", Path: "/"}})
	require.Len(t, jar.Cookies(at("https://ECM.example.org/y")), 2)
	require.Empty(t, jar.Cookies(at("https://www.example.org/")))
	require.Empty(t, jar.Cookies(at("https://example.com/")))
}

// A server cannot make the jar big, or make a request too long to be accepted.
// Proves S-72.
func TestCookiesAreBounded(t *testing.T) {
	jar := newCookies("h")
	u := &url.URL{Scheme: "http", Host: "h", Path: "/"}
	for i := range 10_000 {
		jar.SetCookies(u, []*http.Cookie{{Name: fmt.Sprint("n", i), Value: strings.Repeat("v", 100), Path: fmt.Sprint("/", i%7)}})
		require.LessOrEqual(t, len(jar.known), maxCookies)
		require.LessOrEqual(t, jar.size, maxCookieBytes)
	}
	sum := 0
	for place, value := range jar.known {
		name, _, _ := strings.Cut(place, "\x00")
		sum += len(name) + len(value)
	}
	require.Equal(t, sum, jar.size)

	jar.SetCookies(u, []*http.Cookie{{Name: "huge", Value: strings.Repeat("v", maxCookieBytes), Path: "/"}})
	require.NotContains(t, fmt.Sprint(jar.Cookies(u)), "huge")
	jar.SetCookies(u, []*http.Cookie{{Name: "route", Value: "a", Path: "/"}})
	require.Contains(t, fmt.Sprint(jar.Cookies(u)), "route=a")
}

// A server that quotes the request would show a session to anyone who reads the log.
// Proves S-72.
func TestCookiesAreRedacted(t *testing.T) {
	srv := serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "SID", Value: "sesame-sesame", Path: "/"})
		if strings.HasSuffix(r.URL.Path, "/tickets") {
			entry(w, 201, map[string]any{"id": "TICKET_x", "userId": "admin"})
			return
		}
		refuse(w, 400, "bad request of session sesame-sesame; Cookie: SID=sesame-sesame; jsessionid=0123")
	}))
	err := get(t, newClient(t, testConfig(srv)))
	require.ErrorContains(t, err, "bad request of session "+redacted)
	require.NotContains(t, err.Error(), "sesame")
	require.NotContains(t, err.Error(), "0123")
}

// If nothing leads back to the node that gave the ticket, the password serves: every
// node knows it.
// Proves S-104.
func TestTicketThatTheOtherNodeDoesNotKnow(t *testing.T) {
	g := &cluster{}
	c := newClient(t, testConfig(serverOf(t, g)))
	for range 6 {
		require.NoError(t, get(t, c))
	}
	_, err := c.Create(t.Context(), []download.NodeID{"a"})
	require.NoError(t, err)
	require.Equal(t, []int{401, 401, 200, 200, 200, 200, 200, 200, 200}, g.codes)
}
