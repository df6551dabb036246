package repository

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// tickets are the valid logins. A user has at most one ticket, which all the user's
// logins share. It ends when it has not been used for maxIdle.
type tickets struct {
	maxIdle time.Duration

	mu     sync.Mutex // guards the maps and what is in them
	byID   map[string]*ticket
	byUser map[string]*ticket
}

type ticket struct {
	id       string
	owner    *account
	lastUsed time.Time
}

func newTickets(maxIdle time.Duration) *tickets {
	return &tickets{maxIdle: maxIdle, byID: make(map[string]*ticket), byUser: make(map[string]*ticket)}
}

// issue returns the user's ticket. It makes a new one if none is valid.
func (ts *tickets) issue(a *account) string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byUser[a.name]; t != nil {
		if ts.alive(t) {
			return t.id
		}
		ts.remove(t)
	}
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	t := &ticket{id: "TICKET_" + hex.EncodeToString(b[:]), owner: a, lastUsed: time.Now()}
	ts.byID[t.id], ts.byUser[a.name] = t, t
	return t.id
}

// validate returns the ticket's user and notes the use. It returns nil if the ticket
// is not, or no longer, valid.
func (ts *tickets) validate(id string) *account {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byID[id]
	if t == nil {
		return nil
	}
	if !ts.alive(t) {
		ts.remove(t)
		return nil
	}
	return t.owner
}

func (ts *tickets) invalidate(id string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.byID[id]; t != nil {
		ts.remove(t)
	}
}

// alive extends the life of a valid ticket. Callers hold mu.
func (ts *tickets) alive(t *ticket) bool {
	now := time.Now()
	if now.Sub(t.lastUsed) >= ts.maxIdle {
		return false
	}
	t.lastUsed = now
	return true
}

func (ts *tickets) remove(t *ticket) {
	delete(ts.byID, t.id)
	delete(ts.byUser, t.owner.name)
}
