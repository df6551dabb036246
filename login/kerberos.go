package login

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	krb5 "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"

	"downloadfs/client"
)

// Kerberos says with which tickets to log in to a server by SPNEGO (RFC 4559).
type Kerberos struct {
	Host      string // the server, whose principal is HTTP/Host
	Principal string // NAME or NAME@REALM; empty: whose the tickets or the keytab are
	Keytab    string // a file with keys; empty: the tickets that kinit has got
	Cache     string // where those are, as in KRB5CCNAME; empty: where krb5.conf says
	Conf      string // the files of krb5.conf, as in KRB5_CONFIG; empty: /etc/krb5.conf
	UID       int    // whose tickets, if neither of the two says where they are
}

const (
	// kdcTimeout is how long it may take to get a ticket.
	kdcTimeout = 30 * time.Second
	// ticketPause is how long after a failure to renew a ticket that still works it is
	// tried again.
	ticketPause = 10 * time.Second
)

// Tickets gives tokens for one server. Its methods are safe for concurrent use.
type Tickets struct {
	k    Kerberos
	conf krb5Conf
	file string // the cache; empty with a keytab
	uid  int    // whose the cache must be, or anybody

	turn    chan struct{} // holds one element while somebody uses the fields below
	first   grant         // gets other tickets
	service grant         // for the server
	renewAt time.Time     // when another service is wanted
}

// Open reads the configuration of Kerberos, and the ticket cache or the keytab. It asks
// nobody.
func (k Kerberos) Open() (*Tickets, error) {
	conf, err := readKrb5Conf(k.Conf)
	if err != nil {
		return nil, err
	}
	t := &Tickets{k: k, conf: conf, turn: make(chan struct{}, 1)}
	if k.Keytab != "" {
		t.first.user, t.first.realm, err = k.keytabOwner(conf)
		return t, err
	}
	name := k.Cache
	t.uid = anybody
	if name == "" {
		name, t.uid = conf.cache, k.UID // a name that others can tell
	}
	if t.file, err = cacheFile(name, k.UID); err != nil {
		return nil, err
	}
	if t.first, err = t.fromCache(); err != nil {
		return nil, err
	}
	return t, t.first.usable(t.file)
}

// Principal returns who logs in, as NAME@REALM.
func (t *Tickets) Principal() string {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	return t.first.principal()
}

// Describe says in a sentence whose tickets they are and how long they last. A keytab's
// last for ever.
func (t *Tickets) Describe() string {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if t.file == "" {
		return fmt.Sprintf("the keytab %s has keys of %s, for HTTP/%s", t.k.Keytab, t.first.principal(), t.k.Host)
	}
	text := fmt.Sprintf("the ticket of %s in %s ends on %s", t.first.principal(), t.file, t.first.end.Format(time.DateTime))
	if t.first.until.After(t.first.end) {
		text += ", and can be renewed until " + t.first.until.Format(time.DateTime)
	}
	return text + "; for HTTP/" + t.k.Host
}

// Token implements client.TokenSource. Each token is good for one request: a server
// refuses one that it has seen.
func (t *Tickets) Token(ctx context.Context, again bool) (client.Token, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return client.Token{}, passing("no Kerberos ticket in time")
	}
	now := time.Now()
	if works := now.Before(t.service.end); again || !works || !now.Before(t.renewAt) {
		if err := t.renew(ctx, now); err != nil {
			if again || !works {
				return client.Token{}, err
			}
			t.renewAt = now.Add(ticketPause)
		}
	}
	value, err := t.negotiation()
	return client.Token{Value: value, Scheme: "Negotiate", Expiry: t.service.end, Once: true}, err
}

// renew gets another ticket for the server.
func (t *Tickets) renew(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, kdcTimeout)
	defer cancel()
	type result struct {
		first, service grant
		err            error
	}
	done := make(chan result, 1)
	go func() { // gokrb5 takes no context; what is left behind ends at its own time limits
		var r result
		if r.first, r.err = t.firstGrant(t.first, now); r.err == nil {
			r.service, r.err = t.serviceGrant(ctx, r.first)
		}
		done <- r
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		t.first, t.service = r.first, r.service
		t.renewAt = r.service.end.Add(-min(30*time.Second, r.service.end.Sub(now)/10))
		return nil
	case <-ctx.Done():
		return passing("the KDC of %s does not answer in time", t.first.realm)
	}
}

// negotiation returns what goes behind the word Negotiate.
func (t *Tickets) negotiation() (client.Secret, error) {
	init, err := spnego.NewNegTokenInitKRB5(t.client(t.service), t.service.ticket, t.service.key)
	if err != nil {
		return "", refusal("no login can be made of the Kerberos ticket: %v", err)
	}
	token := spnego.SPNEGOToken{Init: true, NegTokenInit: init}
	bytes, err := token.Marshal()
	if err != nil {
		return "", refusal("no login can be made of the Kerberos ticket: %v", err)
	}
	return client.Secret(base64.StdEncoding.EncodeToString(bytes)), nil
}

// client returns a client for g's principal. It holds no ticket, since one that does
// renews it on its own, for ever.
func (t *Tickets) client(g grant) *krb5.Client {
	return krb5.NewWithPassword(g.user, g.realm, "", t.conf.Config)
}

// fromCache reads the ticket cache.
func (t *Tickets) fromCache() (grant, error) {
	g, err := readCache(t.file, t.uid)
	if err == nil && !isPrincipal(t.k.Principal, g) {
		err = refusal("the Kerberos ticket in %s is one of %s, and %s is to log in; run kinit %s", t.file, g.principal(), t.k.Principal, t.k.Principal)
	}
	return g, err
}

// isPrincipal reports whether name, which may lack a realm or be empty, is g's.
func isPrincipal(name string, g grant) bool {
	return name == "" || name == g.user || name == g.principal()
}

// usable returns an error if the ticket has ended.
func (g grant) usable(file string) error {
	if time.Now().Before(g.end) {
		return nil
	}
	return refusal("the Kerberos ticket of %s in %s has ended on %s; run kinit", g.principal(), file, g.end.Format(time.DateTime))
}

// firstGrant returns a ticket that gets others: held, a newer one from the cache, or
// one that is renewed or asked for.
func (t *Tickets) firstGrant(held grant, now time.Time) (grant, error) {
	if t.file == "" {
		if now.Before(held.end) && !held.ageing(now, 6) {
			return held, nil
		}
		return t.byKeytab(held)
	}
	// Somebody else may have renewed what is in the cache: kinit, the desktop, sssd.
	fresh, err := t.fromCache()
	switch {
	case err == nil && (fresh.end.After(held.end) || fresh.principal() != held.principal()):
		held = fresh
	case err != nil && !now.Before(held.end):
		return held, err
	}
	if err := held.usable(t.file); err != nil {
		return held, err
	}
	if held.ageing(now, 2) && now.Before(held.until) {
		renewed, err := t.exchange(held, "krbtgt/"+held.realm, held.realm, true)
		if err == nil {
			renewed.until = maxTime(renewed.until, held.until)
			return renewed, nil
		}
	}
	return held, nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// serviceGrant returns a ticket for the server.
func (t *Tickets) serviceGrant(ctx context.Context, first grant) (grant, error) {
	host := strings.ToLower(strings.TrimSuffix(t.k.Host, "."))
	g, err := t.forHost(first, host)
	if err != nil && strings.Contains(err.Error(), "S_PRINCIPAL_UNKNOWN") && t.conf.LibDefaults.DNSCanonicalizeHostname {
		// The name may be another one for the host that the KDC knows.
		if name, e := net.DefaultResolver.LookupCNAME(ctx, host); e == nil && strings.TrimSuffix(name, ".") != host {
			g, err = t.forHost(first, strings.ToLower(strings.TrimSuffix(name, ".")))
		}
	}
	if err != nil {
		return g, t.explain(first, err)
	}
	return g, nil
}

func (t *Tickets) forHost(first grant, host string) (grant, error) {
	realm := t.conf.ResolveRealm(host)
	if realm == "" {
		realm = first.realm
	}
	if realm != first.realm {
		other, err := t.exchange(first, "krbtgt/"+realm, first.realm, false)
		if err != nil {
			return other, err
		}
		first = other
	}
	return t.exchange(first, "HTTP/"+host, realm, false)
}

// exchange asks a realm for a ticket for a service, with a ticket that gets others.
func (t *Tickets) exchange(with grant, service, realm string, renewal bool) (grant, error) {
	c := t.client(with)
	defer c.Destroy() // a ticket that the KDC hands out on the way is renewed until then
	name := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, service)
	_, answer, err := c.TGSREQGenerateAndExchange(name, realm, with.ticket, with.key, renewal)
	if err != nil {
		return grant{}, err
	}
	return with.got(answer.Ticket, answer.DecryptedEncPart), nil
}

// got returns another ticket of the same principal.
func (g grant) got(ticket messages.Ticket, part messages.EncKDCRepPart) grant {
	g.ticket, g.key, g.start, g.end, g.until = ticket, part.Key, part.StartTime, part.EndTime, part.RenewTill
	if g.start.IsZero() {
		g.start = part.AuthTime
	}
	return g
}

// byKeytab logs in with the keytab.
func (t *Tickets) byKeytab(who grant) (grant, error) {
	keys, err := readKeytab(t.k.Keytab)
	if err != nil {
		return who, err
	}
	c := krb5.NewWithKeytab(who.user, who.realm, keys, t.conf.Config)
	request, err := messages.NewASReqForTGT(who.realm, t.conf.Config, c.Credentials.CName())
	if err != nil {
		return who, refusal("Kerberos: %v", err)
	}
	answer, err := c.ASExchange(who.realm, request, 0)
	if err != nil {
		return who, t.explain(who, err)
	}
	return who.got(answer.Ticket, answer.DecryptedEncPart), nil
}

// readKeytab reads a file of keys that others can neither read nor write.
func readKeytab(path string) (*keytab.Keytab, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, refusal("cannot read the keytab: %v", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o027 != 0 {
		return nil, refusal("others can read or write the keytab %s; run: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, refusal("cannot read the keytab: %v", err)
	}
	keys := keytab.New()
	if err := parseKeytab(keys, text); err != nil || len(keys.Entries) == 0 {
		return nil, refusal("%s is not a keytab, or has no keys in it", path)
	}
	return keys, nil
}

// parseKeytab does not panic if the file is damaged.
func parseKeytab(keys *keytab.Keytab, text []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it ends too early (%v)", p)
		}
	}()
	return keys.Unmarshal(text)
}

// keytabOwner returns whose key to use: the principal that is asked for, or the only one
// in the keytab.
func (k Kerberos) keytabOwner(conf krb5Conf) (user, realm string, err error) {
	keys, err := readKeytab(k.Keytab)
	if err != nil {
		return "", "", err
	}
	var owners []grant
	for _, e := range keys.Entries {
		g := grant{user: strings.Join(e.Principal.Components, "/"), realm: e.Principal.Realm}
		if isPrincipal(k.Principal, g) && !slices.ContainsFunc(owners, func(o grant) bool { return o.principal() == g.principal() }) {
			owners = append(owners, g)
		}
	}
	switch {
	case len(owners) == 0:
		return "", "", refusal("the keytab %s has no key of %s; klist -k %s shows whose keys it has", k.Keytab, k.Principal, k.Keytab)
	case len(owners) > 1:
		// Of one name in many realms, that of this machine's realm.
		if i := slices.IndexFunc(owners, func(o grant) bool { return k.Principal != "" && o.realm == conf.LibDefaults.DefaultRealm }); i >= 0 {
			return owners[i].user, owners[i].realm, nil
		}
		return "", "", refusal("the keytab %s has keys of %s and %s; say which with --username", k.Keytab, owners[0].principal(), owners[1].principal())
	}
	return owners[0].user, owners[0].realm, nil
}

// explain says what a KDC's answer means for a person. gokrb5 keeps only its text.
func (t *Tickets) explain(g grant, err error) error {
	text := err.Error()
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
	}
	switch {
	case has("S_PRINCIPAL_UNKNOWN"):
		return refusal("the KDC of %s knows no service HTTP/%s; give the URL with the name that the server has in Kerberos", g.realm, t.k.Host)
	case has("C_PRINCIPAL_UNKNOWN"):
		return refusal("the KDC of %s does not know %s", g.realm, g.principal())
	case has("PREAUTH_FAILED", "keytab incorrect", "key not found", "not find key"):
		return refusal("the keytab %s does not have the current key of %s: get a new one", t.k.Keytab, g.principal())
	case has("AP_ERR_SKEW", "clock skew"):
		return refusal("this machine's clock and that of the KDC of %s differ too much; set it (timedatectl set-ntp true)", g.realm)
	case has("TKT_EXPIRED", "CLIENT_REVOKED", "KEY_EXPIRED", "NAME_EXP"):
		return refusal("the KDC of %s refuses %s; run kinit, or ask its administrator (%s)", g.realm, g.principal(), brief(text))
	case has("no KDCs defined", "no KDC SRV"):
		return refusal("no KDC is known for %s: name it under [realms] in krb5.conf, or check the DNS", g.realm)
	case has("KRB Error"):
		return refusal("the KDC of %s refuses a ticket: %s", g.realm, brief(text))
	}
	return passing("the KDC of %s gives no ticket: %s", g.realm, brief(text))
}

// brief returns the end of gokrb5's message, where the cause is.
func brief(text string) string {
	if _, after, ok := strings.Cut(text, "KRB Error: "); ok {
		return after
	}
	if i := strings.LastIndex(text, "< "); i >= 0 {
		return text[i+2:]
	}
	return text
}
