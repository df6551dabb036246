package login

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// claims are what a JSON Web Token says of itself. They are not verified: the server
// does that. Here they only tell when to renew the token, and a name.
type claims struct {
	Exp      float64 `json:"exp"`
	Username string  `json:"preferred_username"`
	UPN      string  `json:"upn"`
	Email    string  `json:"email"`
	Subject  string  `json:"sub"`
}

// claimsOf returns the claims of a token, or none if it is another kind of token.
func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(text, &c) != nil {
		return claims{}
	}
	return c
}

// expiry returns when the token ends; zero if it does not say.
func (c claims) expiry() time.Time {
	if c.Exp <= 0 || c.Exp > 1e11 {
		return time.Time{}
	}
	return time.Unix(int64(c.Exp), 0)
}

// name returns the name of the account.
func (c claims) name() string { return cmp.Or(c.Username, c.UPN, c.Email, c.Subject) }
