package login

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	return "", refusal("the Kerberos tickets are in %s, where only programs with the system's Kerberos library find them; "+
		"run: export KRB5CCNAME=FILE:$HOME/.krb5cc && kinit, then the same command again", name)
}

// maxCache is how much of a cache is read. A ticket may be 64 kB with the groups that it
// lists.
const maxCache = 16 << 20

// anybody is an owner that readCache does not check.
const anybody = -1

// readCache returns the ticket in a file that gets other tickets. The file must belong to
// owner or root, unless owner is anybody: any user can put a file into /tmp, and make
// others log in as someone else.
func readCache(path string, owner int) (g grant, err error) {
	text, uid, err := readOwned(path)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return g, refusal("there is no Kerberos ticket in %s; run kinit", path)
	case err != nil:
		return g, refusal("cannot read the Kerberos tickets: %v", err)
	case owner != anybody && uid != owner && uid != 0:
		return g, refusal("the Kerberos tickets in %s belong to another user (%d); run: export KRB5CCNAME=FILE:$HOME/.krb5cc && kinit, then the same command again", path, uid)
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

// readOwned returns the content of a file and its owner.
func readOwned(path string) (text []byte, uid int, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // another user's pipe must not block
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxCache))
	return text, int(info.Sys().(*syscall.Stat_t).Uid), err
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
