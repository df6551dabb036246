package repository

import (
	"encoding/json"
	"net/http"
)

// ticketJSON is a login as the API shows it. Only a new login names its user.
type ticketJSON struct {
	ID     string `json:"id"`
	UserID string `json:"userId,omitempty"`
}

// createTicket is POST /tickets. It needs no login. A wrong password is a 403, not a
// 401.
func (s *Repository) createTicket(w http.ResponseWriter, r *http.Request) error {
	var login struct {
		UserID   *string `json:"userId"`
		Password *string `json:"password"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&login); err != nil {
		return badRequest("Could not read content from HTTP request body")
	}
	if login.UserID == nil || login.Password == nil {
		return badRequest("Invalid login details.")
	}
	a := s.accounts[*login.UserID]
	if a == nil || !a.is(*login.Password) {
		return &apiError{status: http.StatusForbidden, msg: "Login failed"}
	}
	return writeEntry(w, r, http.StatusCreated, ticketJSON{s.tickets.issue(a), a.name})
}

// getTicket is GET /tickets/-me-: is the ticket valid?
func (s *Repository) getTicket(w http.ResponseWriter, r *http.Request, a *account) error {
	t, err := s.requestTicket(r, a)
	if err != nil {
		return err
	}
	return writeEntry(w, r, http.StatusOK, ticketJSON{ID: t})
}

// deleteTicket is DELETE /tickets/-me-: it logs the user out, everywhere.
func (s *Repository) deleteTicket(w http.ResponseWriter, r *http.Request, a *account) error {
	t, err := s.requestTicket(r, a)
	if err != nil {
		return err
	}
	s.tickets.invalidate(t)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// requestTicket returns the ticket that a request is about: alf_ticket, valid or not,
// comes before the ticket that the request logs in with. A password is no ticket
// (400). A ticket that is invalid or another user's is unknown (404).
func (s *Repository) requestTicket(r *http.Request, a *account) (string, error) {
	if me := r.PathValue("id"); me != "-me-" {
		return "", badRequest("Invalid parameter: %s", me)
	}
	t := r.URL.Query().Get("alf_ticket")
	if t == "" {
		c, _ := parseBasic(r.Header.Get("Authorization"))
		if t = c.ticket; t == "" {
			return "", badRequest("Ticket base authentication required.")
		}
	}
	if s.tickets.validate(t) != a {
		return "", notFound(t)
	}
	return t, nil
}
