package repository

import (
	"crypto/sha256"
	"crypto/subtle"
)

// account is a User as the server knows them, without the text of the password.
type account struct {
	name     string
	password [sha256.Size]byte
	admin    bool
}

// newAccounts makes the users' accounts. At least one of them is an administrator.
func newAccounts(users []User) map[string]*account {
	all := make(map[string]*account, len(users))
	admins := 0
	for _, u := range users {
		a := &account{name: u.Name, password: sha256.Sum256([]byte(u.Password)), admin: u.Admin || u.Name == "admin"}
		if a.admin {
			admins++
		}
		all[u.Name] = a
	}
	if admins == 0 {
		all[users[0].Name].admin = true
	}
	return all
}

// is reports whether password is the account's password, in constant time.
func (a *account) is(password string) bool {
	sum := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(sum[:], a.password[:]) == 1
}

// displayName returns what Alfresco shows for the user, in createdByUser and the
// like.
func displayName(name string) string {
	if name == "admin" {
		return "Administrator"
	}
	return name
}
