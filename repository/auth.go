package repository

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// ticketUser as the user name of basic authentication says that the password is a
// ticket. Case does not matter.
const ticketUser = "ROLE_TICKET"

func isTicketUser(name string) bool { return strings.EqualFold(name, ticketUser) }

// credentials are the content of an Authorization header: a ticket, or a name and a
// password.
type credentials struct {
	ticket         string
	name, password string
}

// parseBasic reads an Authorization header. A value is a ticket if it has no colon,
// an empty name or the name ticketUser.
func parseBasic(header string) (credentials, bool) {
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "basic") {
		return credentials{}, false
	}
	value = strings.TrimRight(strings.TrimSpace(value), "=")
	b, err := base64.RawStdEncoding.DecodeString(value)
	if err != nil || len(b) == 0 {
		return credentials{}, false
	}
	name, password, colon := strings.Cut(string(b), ":")
	switch {
	case !colon:
		return credentials{ticket: name}, true
	case name == "" || isTicketUser(name):
		return credentials{ticket: password}, true
	}
	return credentials{name: name, password: password}, true
}

// authenticate returns the account that makes the request. A valid alf_ticket counts
// first. An invalid one falls through to the Authorization header.
func (s *Repository) authenticate(r *http.Request) (*account, error) {
	if t := r.URL.Query().Get("alf_ticket"); t != "" {
		if a := s.tickets.validate(t); a != nil {
			return a, nil
		}
	}
	c, ok := parseBasic(r.Header.Get("Authorization"))
	if !ok {
		return nil, unauthorized()
	}
	if c.ticket != "" {
		if a := s.tickets.validate(c.ticket); a != nil {
			return a, nil
		}
		return nil, unauthorized()
	}
	if a := s.accounts[c.name]; a != nil && a.is(c.password) {
		return a, nil
	}
	return nil, unauthorized()
}
