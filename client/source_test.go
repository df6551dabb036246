package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// tokenServer accepts one token and gives no tickets.
type tokenServer struct {
	valid   atomic.Value // string
	refused atomic.Int64
}

func newTokenServer(t *testing.T, source TokenSource) (*tokenServer, *Client) {
	s := &tokenServer{}
	s.valid.Store("")
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg := testConfig(srv.URL)
	cfg.Username, cfg.Password, cfg.TokenSource, cfg.LoginHold = "", "", source, time.Minute
	return s, newClient(t, cfg)
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/tickets") {
		panic("a token needs no ticket")
	}
	if r.Header.Get("Authorization") != "Bearer "+s.valid.Load().(string) {
		s.refused.Add(1)
		refuse(w, http.StatusUnauthorized, "you sent "+r.Header.Get("Authorization"))
		return
	}
	entry(w, http.StatusOK, downloadEntryOf("DONE"))
}

// Proves S-118.
func TestTokenIsRenewedOnceForAll(t *testing.T) {
	var s *tokenServer
	var calls, agains atomic.Int64
	s, c := newTokenServer(t, func(_ context.Context, again bool) (Token, error) {
		if again {
			agains.Add(1)
		}
		token := fmt.Sprintf("token-%d", calls.Add(1))
		s.valid.Store(token)
		return Token{Value: Secret(token)}, nil
	})
	for range 3 {
		getMany(t, c)
		s.valid.Store("ended")
	}
	require.Equal(t, int64(3), calls.Load())
	require.Equal(t, int64(2), agains.Load())
}

// If a token is refused again and again, the source is asked twice, and then after a
// pause.
func TestTokenThatIsNeverAccepted(t *testing.T) {
	var calls atomic.Int64
	s, c := newTokenServer(t, func(context.Context, bool) (Token, error) {
		return Token{Value: Secret(fmt.Sprintf("bad-token-%d", calls.Add(1)))}, nil
	})
	for range 5 {
		err := get(t, c)
		require.ErrorIs(t, err, download.ErrUnauthorized)
		require.NotContains(t, err.Error(), "bad-token", "the server quotes it")
	}
	require.Equal(t, int64(2), calls.Load())
	require.Equal(t, int64(2), s.refused.Load())
	endHold(c)
	require.ErrorIs(t, get(t, c), download.ErrUnauthorized)
	require.Greater(t, calls.Load(), int64(2))
}

// A token is replaced ahead of its end. If that fails, it is used to its end.
// Proves S-118.
func TestTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		var fail error
		s := newSession(Config{LoginHold: time.Minute, TokenSource: func(_ context.Context, again bool) (Token, error) {
			require.False(t, again)
			calls++
			return Token{Value: Secret(fmt.Sprint(calls)), Expiry: time.Now().Add(10 * time.Minute)}, fail
		}})
		defer s.close()
		header := func() string {
			cred, f := s.credential(t.Context())
			if f != nil {
				return f.kind.Error()
			}
			return cred.header
		}
		require.Equal(t, "Bearer 1", header())
		time.Sleep(9*time.Minute + 29*time.Second)
		require.Equal(t, "Bearer 1", header())
		time.Sleep(2 * time.Second)
		require.Equal(t, "Bearer 2", header())
		fail = fmt.Errorf("no provider: %w", download.ErrUnavailable)
		time.Sleep(9*time.Minute + 31*time.Second)
		require.Equal(t, "Bearer 2", header(), "it still works")
		require.Equal(t, "Bearer 2", header())
		require.Equal(t, 3, calls, "asked for at once again")
		time.Sleep(30 * time.Second)
		require.Equal(t, download.ErrUnavailable.Error(), header())
		fail = nil
		require.Equal(t, "Bearer 5", header())
	})
}

// Proves S-126.
func TestPasswordIsAskedForAgain(t *testing.T) {
	passwords := make(chan string, 10)
	var calls atomic.Int64
	g, c := newGate(t, func(c *Config) {
		c.Password, c.LoginHold = "", time.Minute
		c.PasswordSource = func(context.Context) (Secret, error) {
			calls.Add(1)
			return Secret(<-passwords), nil
		}
	})
	passwords <- "pa55word!"
	require.NoError(t, get(t, c))
	require.NoError(t, get(t, c))
	require.Equal(t, int64(1), calls.Load())

	g.mu.Lock()
	g.password = "changed!"
	g.mu.Unlock()
	g.expire()
	passwords <- "changed!"
	require.NoError(t, get(t, c), "its end asks for the password")

	g.expire()
	passwords <- "Wr0ngOne"
	err := get(t, c)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.NotContains(t, err.Error(), "Wr0ngOne")
	require.ErrorIs(t, get(t, c), download.ErrUnauthorized)
	require.Equal(t, int64(3), calls.Load(), "a refused password is not asked for again at once")
}

// Without tickets, the password is asked for again once after a 401.
func TestPasswordWithoutTickets(t *testing.T) {
	var password atomic.Value
	password.Store("old-one!")
	var calls atomic.Int64
	g, c := newGate(t, func(c *Config) {
		c.Password = ""
		c.PasswordSource = func(context.Context) (Secret, error) {
			calls.Add(1)
			return Secret(password.Load().(string)), nil
		}
	})
	g.answer = http.StatusNotFound
	g.password = "old-one!"
	require.NoError(t, get(t, c))
	g.mu.Lock()
	g.password = "new-one!"
	g.mu.Unlock()
	password.Store("new-one!")
	require.NoError(t, get(t, c))
	require.Equal(t, int64(2), calls.Load())
}

// A source's words reach the person. If the source says that it is out of reach, it is
// tried again.
func TestSourceFails(t *testing.T) {
	g, c := newGate(t, func(c *Config) {
		c.PasswordSource = func(context.Context) (Secret, error) {
			return "", fmt.Errorf("the vault is locked: %w", download.ErrUnauthorized)
		}
	})
	err := get(t, c)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.ErrorContains(t, err, "the vault is locked")
	logins, _ := g.counts()
	require.Zero(t, logins)

	tries := 0
	_, c = newGate(t, func(c *Config) {
		c.PasswordSource = func(context.Context) (Secret, error) {
			if tries++; tries == 1 {
				return "", errors.New("not now")
			}
			return "pa55word!", nil
		}
	})
	require.NoError(t, get(t, c))
}

// A token for one request is made for each, also for one that follows a redirect. What
// tokens are made of is renewed once for all.
// Proves S-206.
func TestTokenForOneRequest(t *testing.T) {
	var (
		mu      sync.Mutex
		seen    = map[string]bool{}
		refused int
		calls   int
		agains  int
		valid   = "a"
	)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Negotiate "+valid+"-")
		if !ok || seen[token] {
			refused++
			refuse(w, http.StatusUnauthorized, "you sent "+r.Header.Get("Authorization"))
			return
		}
		seen[token] = true
		if !strings.Contains(r.URL.RawQuery, "again") {
			http.Redirect(w, r, r.URL.Path+"?again", http.StatusFound)
			return
		}
		entry(w, http.StatusOK, downloadEntryOf("DONE"))
	}))
	t.Cleanup(srv.Close)
	cfg := testConfig(srv.URL)
	cfg.Username, cfg.Password, cfg.LoginHold = "", "", 100*time.Millisecond
	made := "a"
	cfg.TokenSource = func(_ context.Context, again bool) (Token, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if again {
			agains++
			made = valid
		}
		return Token{Value: Secret(fmt.Sprintf("%s-%d", made, calls)), Scheme: "Negotiate", Expiry: time.Now().Add(time.Hour), Once: true}, nil
	}
	c := newClient(t, cfg)
	for _, v := range []string{"a", "b"} {
		mu.Lock()
		valid = v
		mu.Unlock()
		getMany(t, c)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 80, len(seen))
	require.LessOrEqual(t, refused, 20, "none is sent twice, and after a change each is refused once")
	require.Less(t, agains, refused+1)
	require.Positive(t, agains)
}
