package login

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// grant is a ticket of Kerberos and the key that belongs to it.
type grant struct {
	user   string // the principal without its realm
	realm  string
	ticket messages.Ticket
	key    types.EncryptionKey
	start  time.Time
	end    time.Time
	until  time.Time // when it can no longer be renewed
}

// principal returns whose ticket it is.
func (g grant) principal() string { return g.user + "@" + g.realm }

// ageing reports whether no more than a part of the ticket's time is left.
func (g grant) ageing(now time.Time, part int) bool {
	return !now.Before(g.end.Add(-g.end.Sub(g.start) / time.Duration(part)))
}

// cacheFile returns the file that a name of a ticket cache means: what is in
// KRB5CCNAME, or else in krb5.conf.
func cacheFile(name string, uid int) (string, error) {
	if name == "" {
		name = "FILE:/tmp/krb5cc_%{uid}"
	}
	id := strconv.Itoa(uid)
	name = strings.NewReplacer("%{uid}", id, "%{euid}", id, "%{USERID}", id, "%{TEMP}", os.TempDir()).Replace(name)
	kind, path, ok := strings.Cut(name, ":")
	if !ok {
		kind, path = "FILE", name
	}
	switch kind {
	case "FILE":
		return path, nil
	case "DIR":
		if file, ok := strings.CutPrefix(path, ":"); ok { // DIR::FILE names one of them
			return file, nil
		}
		primary, err := os.ReadFile(filepath.Join(path, "primary"))
		switch {
		case errors.Is(err, iofs.ErrNotExist):
			return filepath.Join(path, "tkt"), nil
		case err != nil:
			return "", refusal("cannot read the Kerberos tickets in %s: %v", name, err)
		}
		return filepath.Join(path, filepath.Base(strings.TrimSpace(string(primary)))), nil
	}
	return "", refusal("the Kerberos tickets are in %s, where only programs with the system's Kerberos library find them: "+
		"set KRB5CCNAME to FILE: and a file of yours, run kinit, and mount with the same KRB5CCNAME", name)
}

// readCache returns the ticket in a file that gets other tickets.
func readCache(path string) (g grant, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return g, refusal("there is no Kerberos ticket in %s; run kinit", path)
	case err != nil:
		return g, refusal("cannot read the Kerberos tickets: %v", err)
	}
	var cache credentials.CCache
	if err := parseCache(&cache, text); err != nil {
		return g, refusal("%s is not a file with Kerberos tickets; run kinit", path)
	}
	g.user, g.realm = cache.GetClientPrincipalName().PrincipalNameString(), cache.GetClientRealm()
	i := slices.IndexFunc(cache.GetEntries(), func(c *credentials.Credential) bool {
		return slices.Equal(c.Server.PrincipalName.NameString, []string{"krbtgt", g.realm})
	})
	if i < 0 {
		return g, refusal("%s has no Kerberos ticket that gets others; run kinit", path)
	}
	c := cache.GetEntries()[i]
	if err := g.ticket.Unmarshal(c.Ticket); err != nil {
		return g, refusal("the Kerberos ticket in %s cannot be read; run kinit", path)
	}
	g.key, g.start, g.end, g.until = c.Key, c.StartTime, c.EndTime, c.RenewTill
	if c.StartTime.Unix() == 0 {
		g.start = c.AuthTime
	}
	return g, nil
}

// parseCache reads a cache. kinit writes in place, so half a file may be there, and
// gokrb5's reader panics at its end.
func parseCache(c *credentials.CCache, text []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it ends too early (%v)", p)
		}
	}()
	return c.Unmarshal(text)
}
