package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"downloadfs/download"
)

const (
	maxLoginHold = 5 * time.Minute
	// renewPause is how long after a failed renewal of a token that still works the
	// renewal is tried again.
	renewPause = 10 * time.Second
)

// credential is what one request carries.
type credential struct {
	ready     bool      // the credential is set
	header    string    // the value of Authorization; empty: none is sent
	renewable bool      // a new login can replace it
	once      bool      // header is empty: the source gives one for each request
	ticket    bool      // a ticket from a login that the server has just accepted
	instead   bool      // the password, because the server gave a ticket and then did not know it
	fallback  string    // what to send instead of a ticket
	renewAt   time.Time // when to get another one while this one still works; zero: never
	expires   time.Time // when it ends; zero: the server will say
}

// session keeps the login of a Client: the ticket or token that all requests share, one
// login at a time, and the pause after a refusal.
type session struct {
	user     string
	password func() string  // the fixed password; a function cannot be printed by accident
	source   PasswordSource // nil: the password is fixed
	tokens   TokenSource    // nil: tickets
	learn    func(Secret)   // is told what must not be shown
	hold     time.Duration
	request  func(ctx context.Context, password string) (ticket string, f *failure)

	ctx    context.Context // ends with close; logins run in it
	cancel context.CancelFunc
	logins sync.WaitGroup

	mu      sync.Mutex // guards all below; not held while a login runs
	cred    credential // what to send; if not ready, log in first
	flight  *flight    // the running login
	denied  *failure   // the refusal that holds until the time until
	until   time.Time
	refuses int // refusals since the last success
	closed  bool
	stale   bool // the latest token was refused before its expiry
	fell    bool // cred is the password because there seemed to be no tickets API
}

// flight is one login. All who need it wait for it.
type flight struct {
	done chan struct{} // closed when cred or f is set
	cred credential
	f    *failure
}

func newSession(cfg Config) *session {
	s := &session{
		user: cfg.Username, password: cfg.Password.Reveal, source: cfg.PasswordSource, tokens: cfg.TokenSource,
		learn: func(Secret) {}, hold: cfg.LoginHold,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if cfg.fixedTicket() {
		s.cred = credential{ready: true, header: basicAuth(cfg.Password.Reveal())}
	}
	return s
}

// close ends a running login and waits for it, which takes some seconds at most.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.logins.Wait()
}

// credential returns what to send, after logging in if necessary.
func (s *session) credential(ctx context.Context) (credential, *failure) {
	s.mu.Lock()
	if f := s.heldOff(); f != nil {
		s.mu.Unlock()
		return credential{}, f
	}
	if cred := s.cred; cred.ready && (cred.renewAt.IsZero() || time.Now().Before(cred.renewAt)) {
		s.mu.Unlock()
		return cred, nil
	}
	return s.await(ctx)
}

// header returns the value of Authorization for one request with cred.
func (s *session) header(ctx context.Context, cred credential) (string, *failure) {
	if !cred.once {
		return cred.header, nil
	}
	token, err := s.tokens(ctx, false)
	if err != nil {
		f := sourceFailure(err)
		f.unsent, f.lasting = true, errors.Is(f, download.ErrUnauthorized)
		return "", f
	}
	s.learn(token.Value)
	return token.header(), nil
}

// again gives a request that follows a redirect a header of its own if the first one
// was for one request only.
func (s *session) again(req *http.Request) error {
	s.mu.Lock()
	cred := s.cred
	s.mu.Unlock()
	if !cred.once {
		return nil
	}
	header, f := s.header(req.Context(), cred)
	if f != nil {
		return f
	}
	req.Header.Set("Authorization", header)
	return nil
}

// renew returns a credential other than old, which the server did not accept. When many
// requests meet a dead ticket, the first logs in and all profit.
func (s *session) renew(ctx context.Context, old credential) (credential, *failure) {
	s.mu.Lock()
	if s.cred == old {
		s.cred, s.stale = credential{}, true
	}
	s.mu.Unlock()
	return s.credential(ctx)
}

// await joins the running login or starts one. It is called with mu locked and unlocks
// it.
func (s *session) await(ctx context.Context) (credential, *failure) {
	if s.closed {
		s.mu.Unlock()
		return credential{}, &failure{kind: download.ErrClosed, unsent: true, lasting: true}
	}
	fl := s.flight
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		s.flight = fl
		// The login belongs to the session, not to the caller who needed it first: that
		// caller may give up while others wait.
		s.logins.Go(func() { s.fly(fl) })
	}
	s.mu.Unlock()
	select {
	case <-fl.done:
		return fl.cred, fl.f
	case <-ctx.Done():
		return credential{}, &failure{kind: download.ErrUnavailable, detail: "no answer to the login in time", unsent: true}
	}
}

// fly logs in once. Those who wait retry a failure that may pass.
func (s *session) fly(fl *flight) {
	s.mu.Lock()
	again := s.stale
	s.stale = false
	s.mu.Unlock()
	cred, fell, f := s.logIn(s.ctx, again)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case f == nil:
		s.cred, s.fell = cred, fell
	case s.closed:
		f = &failure{kind: download.ErrClosed, lasting: true}
	case s.cred.ready && now.Before(s.cred.expires):
		// The present credential works for a while yet.
		s.cred.renewAt, f = now.Add(renewPause), nil
	case errors.Is(f, download.ErrForbidden), errors.Is(f, download.ErrUnauthorized):
		s.cred = credential{}
		f = &failure{kind: download.ErrUnauthorized, detail: f.detail, lasting: true}
		s.deny(f)
	default:
		s.cred = credential{}
	}
	if f != nil {
		f.unsent = true // this is about the request that needed the login
		s.stale = again
	}
	fl.cred, fl.f = s.cred, f
	s.flight = nil
	close(fl.done)
}

// logIn gets another credential: a token, a ticket for the password, or, if there are
// no tickets (fell), the password itself.
func (s *session) logIn(ctx context.Context, again bool) (cred credential, fell bool, f *failure) {
	if s.tokens != nil {
		token, err := s.tokens(ctx, again)
		if err != nil {
			return cred, false, sourceFailure(err)
		}
		s.learn(token.Value)
		return token.credential(time.Now()), false, nil
	}
	password := s.password()
	if s.source != nil {
		secret, err := s.source(ctx)
		if err != nil {
			return cred, false, sourceFailure(err)
		}
		s.learn(secret)
		password = secret.Reveal()
		if isTicket(password) {
			return credential{ready: true, header: basicAuth(password), renewable: true}, false, nil
		}
	}
	ticket, f := s.request(ctx, password)
	switch {
	case f == nil:
		return credential{ready: true, header: basicAuth(ticket), renewable: true, ticket: true, fallback: basicAuth(s.user + ":" + password)}, false, nil
	case noTickets(f):
		return credential{ready: true, header: basicAuth(s.user + ":" + password), renewable: s.source != nil}, true, nil
	}
	return cred, false, f
}

// noTickets reports whether the tickets API does not exist or something in front of the
// server blocks it. A wrong password is a 403 too, but in Alfresco's own words.
func noTickets(f *failure) bool {
	switch f.code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusForbidden:
		return !f.own
	}
	return false
}

// reconsider makes the next request ask for a ticket again. It is called when no API at
// all was there, so a missing tickets API meant nothing.
func (s *session) reconsider() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fell {
		s.cred, s.fell = credential{}, false
	}
}

// byPassword returns the password as the credential: every node of a cluster knows it,
// whichever gave the ticket. It is kept when the server accepts it.
func (s *session) byPassword(ticket credential) credential {
	return credential{ready: true, header: ticket.fallback, renewable: s.source != nil, instead: true}
}

// accepted notes that the server accepted cred.
func (s *session) accepted(cred credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cred.instead && s.cred.ticket {
		s.cred, s.fell = cred, true
	}
	if s.cred == cred {
		s.denied, s.refuses = nil, 0
	}
}

// refused notes that the server did not accept cred and that no login can fix it.
func (s *session) refused(cred credential, f *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// If the server has just accepted the login for a ticket, the password is not
	// wrong.
	if s.cred == cred && !cred.ticket {
		s.deny(f)
		if cred.renewable {
			s.cred, s.stale = credential{}, true // after the pause, get another one
		}
	}
}

// deny starts the pause after a refusal; mu is held.
func (s *session) deny(f *failure) {
	hold := min(s.hold<<min(s.refuses, 16), maxLoginHold)
	s.refuses++
	s.denied, s.until = f, time.Now().Add(hold)
}

// heldOff returns the last refusal while its pause lasts; mu is held.
func (s *session) heldOff() *failure {
	if s.denied == nil || !time.Now().Before(s.until) {
		return nil
	}
	return &failure{kind: download.ErrUnauthorized, detail: s.denied.detail, unsent: true, lasting: true}
}

func basicAuth(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// isTicket reports whether s is a ticket and not a password.
func isTicket(s string) bool { return strings.HasPrefix(s, "TICKET_") }

// requestTicket makes one attempt at POST /tickets, which may be repeated: a
// user who is logged in gets the same ticket again.
func (c *Client) requestTicket(ctx context.Context, password string) (string, *failure) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	body, err := json.Marshal(ticketRequest{UserID: c.auth.user, Password: password})
	if err != nil {
		return "", protocolFailure("the login cannot be encoded")
	}
	req, err := c.newRequest(ctx, request{method: http.MethodPost, url: c.login, body: body})
	if err != nil {
		return "", protocolFailure("%v", err)
	}
	op := operate("login", "login")
	resp, f := c.roundTrip(c.api, op, req)
	if f != nil {
		return "", f
	}
	defer resp.Body.Close()
	var ticket string
	f = c.readAnswer(resp, 0, func(body []byte) (f *failure) {
		ticket, f = decodeTicket(body)
		return f
	})
	switch {
	case f == nil:
		c.log.LogAttrs(ctx, slog.LevelInfo, "logged in", op.attrs()...)
	case noTickets(f):
		c.log.LogAttrs(ctx, slog.LevelInfo, "the server has no tickets API; using basic authentication", op.attrs(slog.Int("code", f.code))...)
	}
	return ticket, f
}
