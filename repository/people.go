package repository

import "net/http"

// personJSON is what clients ask for after a login.
type personJSON struct {
	ID           string           `json:"id"`
	FirstName    string           `json:"firstName"`
	DisplayName  string           `json:"displayName"`
	Email        string           `json:"email"`
	Enabled      bool             `json:"enabled"`
	Capabilities capabilitiesJSON `json:"capabilities"`
}

type capabilitiesJSON struct {
	IsAdmin   bool `json:"isAdmin"`
	IsGuest   bool `json:"isGuest"`
	IsMutable bool `json:"isMutable"`
}

// getPerson is GET /people/{id}. -me- is the user who asks.
func (s *Repository) getPerson(w http.ResponseWriter, r *http.Request, a *account) error {
	id := r.PathValue("id")
	if id == "-me-" {
		id = a.name
	}
	p := s.accounts[id]
	if p == nil {
		return notFound(id)
	}
	return writeEntry(w, r, http.StatusOK, personJSON{
		ID: p.name, FirstName: displayName(p.name), DisplayName: displayName(p.name), Email: p.name + "@example.com",
		Enabled: true, Capabilities: capabilitiesJSON{IsAdmin: p.admin},
	})
}
