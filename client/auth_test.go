package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// gate is a server's login: the tickets it gives and accepts, and a password.
type gate struct {
	password string

	mu      sync.Mutex
	valid   string        // the ticket in force; empty: none
	logins  int           // POST /tickets so far
	basics  int           // requests with a password so far
	methods []string      // of requests to the tickets API
	answer  int           // of POST /tickets, if not 0
	html    bool          // answers as a proxy would
	delay   chan struct{} // if set, logins wait for it
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/tickets") {
		g.login(w, r)
		return
	}
	value, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
	g.mu.Lock()
	ok := g.valid != "" && string(value) == g.valid
	if strings.Contains(string(value), ":") {
		g.basics++
		ok = string(value) == "admin:"+g.password
	}
	g.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="Alfresco"`)
		refuse(w, http.StatusUnauthorized, "07110001 Authentication failed for Web Script org/alfresco/api/ResourceWebScript.get")
		return
	}
	entry(w, http.StatusOK, downloadEntryOf("DONE"))
}

func (g *gate) login(w http.ResponseWriter, r *http.Request) {
	var sent struct{ UserID, Password string }
	_ = json.NewDecoder(r.Body).Decode(&sent)
	g.mu.Lock()
	g.methods = append(g.methods, r.Method)
	g.logins++
	delay := g.delay
	g.mu.Unlock()
	if delay != nil {
		<-delay
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.answer != 0 && g.html:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(g.answer)
		fmt.Fprint(w, "<html>no</html>")
	case g.answer != 0:
		refuse(w, g.answer, "07110002 no")
	case sent.UserID != "admin" || sent.Password != g.password:
		refuse(w, http.StatusForbidden, "07110002 Login failed")
	default:
		if g.valid == "" {
			g.valid = fmt.Sprintf("TICKET_%08d", g.logins)
		}
		entry(w, http.StatusCreated, map[string]any{"id": g.valid, "userId": "admin"})
	}
}

func (g *gate) expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.valid = ""
}

func (g *gate) counts() (logins, basics int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logins, g.basics
}

func newGate(t *testing.T, change ...func(*Config)) (*gate, *Client) {
	g := &gate{password: "pa55word!"}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	cfg := testConfig(srv.URL)
	for _, c := range change {
		c(&cfg)
	}
	return g, newClient(t, cfg)
}

func get(t *testing.T, c *Client) error {
	_, err := c.Get(t.Context(), testID)
	return err
}

// getMany calls get 20 times at once.
func getMany(t *testing.T, c *Client) {
	t.Helper()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := get(t, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTicketIsGotOnceAndNeverDeleted(t *testing.T) {
	g, c := newGate(t)
	getMany(t, c)
	c.Close()
	logins, basics := g.counts()
	require.Equal(t, 1, logins)
	require.Zero(t, basics, "the password is for the login only")
	require.Equal(t, []string{"POST"}, g.methods)
}

// Proves S-73.
func TestDeadTicketIsRenewedOnceForAll(t *testing.T) {
	g, c := newGate(t)
	require.NoError(t, get(t, c))
	for range 3 {
		g.expire()
		getMany(t, c)
	}
	logins, _ := g.counts()
	require.Equal(t, 4, logins)
}

func TestCreateIsSentAgainAfterARenewal(t *testing.T) {
	g, c := newGate(t)
	require.NoError(t, get(t, c))
	g.expire()
	_, err := c.Create(t.Context(), []download.NodeID{"a"})
	require.NoError(t, err, "a request that was not let in was not carried out")
}

func TestWrongPassword(t *testing.T) {
	for _, way := range []string{useTicket, useBasic} {
		g, c := newGate(t, func(c *Config) { c.Password, c.LoginHold = "Wr0ngOne", time.Minute })
		logIn(c, way)
		for range 5 {
			err := c.Check(t.Context())
			require.ErrorIs(t, err, download.ErrUnauthorized)
			require.NotContains(t, err.Error(), "Wr0ngOne")
		}
		logins, basics := g.counts()
		require.Equal(t, 1, logins+basics, "a refused password is not sent again and again")

		endHold(c)
		g.mu.Lock()
		g.password = "Wr0ngOne" // the administrator fixes it
		g.mu.Unlock()
		require.NoError(t, get(t, c))
	}
}

// endHold has the time pass in which a refused login is not tried again.
func endHold(c *Client) {
	c.auth.mu.Lock()
	defer c.auth.mu.Unlock()
	c.auth.until = time.Now()
}

// Calls that share a refused login share its failure, and each makes a text of it.
func TestRefusedLoginIsSharedByMany(t *testing.T) {
	g, c := newGate(t, func(c *Config) { c.Password = "Wr0ngOne" })
	g.delay = make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := get(t, c); !errors.Is(err, download.ErrUnauthorized) {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { n, _ := g.counts(); return n == 1 }, 5*time.Second, time.Millisecond)
	close(g.delay)
	wg.Wait()
	logins, _ := g.counts()
	require.Equal(t, 1, logins)
}

func TestHoldGrows(t *testing.T) {
	s := newSession(Config{LoginHold: 30 * time.Second})
	defer s.close()
	var holds []time.Duration
	for range 7 {
		began := time.Now()
		s.deny(&failure{kind: download.ErrUnauthorized})
		holds = append(holds, s.until.Sub(began).Truncate(time.Second))
	}
	require.Equal(t, []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}, holds)
}

func TestBasicFallback(t *testing.T) {
	for name, change := range map[string]func(*gate){
		"404 Alfresco's":     func(g *gate) { g.answer = 404 },
		"404 a proxy's":      func(g *gate) { g.answer, g.html = 404, true },
		"405":                func(g *gate) { g.answer = 405 },
		"501":                func(g *gate) { g.answer = 501 },
		"403 not Alfresco's": func(g *gate) { g.answer, g.html = 403, true },
	} {
		g, c := newGate(t)
		change(g)
		require.NoError(t, get(t, c), name)
		require.NoError(t, get(t, c), name)
		logins, basics := g.counts()
		require.Equal(t, 1, logins, name)
		require.Equal(t, 2, basics, name)
	}
}

func TestLoginIsTriedAgain(t *testing.T) {
	g, c := newGate(t)
	g.answer, g.html = 503, true
	time.AfterFunc(300*time.Millisecond, func() { g.mu.Lock(); g.answer = 0; g.mu.Unlock() })
	_, err := c.Create(t.Context(), []download.NodeID{"a"})
	require.NoError(t, err, "a failed login leaves the request unsent")
	logins, _ := g.counts()
	require.Greater(t, logins, 1)
}

func TestBasicAuth(t *testing.T) {
	g, c := newGate(t)
	logIn(c, useBasic)
	require.NoError(t, get(t, c))
	logins, basics := g.counts()
	require.Equal(t, 0, logins)
	require.Equal(t, 1, basics)
}

func TestTicketMadeElsewhere(t *testing.T) {
	for _, user := range []string{"", "ROLE_TICKET", "admin"} {
		g, c := newGate(t, func(c *Config) { c.Username, c.Password = user, "TICKET_elsewhere" })
		g.valid = "TICKET_elsewhere"
		require.NoError(t, get(t, c))
		g.expire()
		require.ErrorIs(t, get(t, c), download.ErrUnauthorized)
		logins, _ := g.counts()
		require.Zero(t, logins)
	}
}

func TestImpatientCallerLeavesTheLoginToOthers(t *testing.T) {
	g, c := newGate(t)
	g.delay = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := c.Get(ctx, testID); first <- err }()
	require.Eventually(t, func() bool { n, _ := g.counts(); return n == 1 }, 5*time.Second, time.Millisecond)
	second := make(chan error, 1)
	go func() { second <- get(t, c) }()
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(g.delay)
	require.NoError(t, <-second)
	logins, _ := g.counts()
	require.Equal(t, 1, logins)
}

func TestCloseEndsALogin(t *testing.T) {
	g, c := newGate(t)
	g.delay = make(chan struct{})
	defer close(g.delay)
	outcome := make(chan error, 1)
	go func() { outcome <- get(t, c) }()
	require.Eventually(t, func() bool { n, _ := g.counts(); return n == 1 }, 5*time.Second, time.Millisecond)
	c.Close()
	require.ErrorIs(t, <-outcome, download.ErrClosed)
	require.ErrorIs(t, get(t, c), download.ErrClosed)
}

// A server that accepts a login but then does not know its ticket must not make the
// client log in for ever.
func TestTicketsThatAreNeverAccepted(t *testing.T) {
	var logins atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tickets") {
			entry(w, 201, map[string]any{"id": fmt.Sprintf("TICKET_%d", logins.Add(1))})
			return
		}
		refuse(w, 401, "no")
	}))
	defer srv.Close()
	c := newClient(t, testConfig(srv.URL))
	require.ErrorIs(t, get(t, c), download.ErrUnauthorized)
	require.Equal(t, int64(2), logins.Load())
}
