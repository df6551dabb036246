package login

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
)

// defaultKrb5Conf is read where no other file is named.
const defaultKrb5Conf = "/etc/krb5.conf"

// krb5Conf is what we need of krb5.conf. gokrb5's own reader fails at much of what is
// in the files that distributions ship.
type krb5Conf struct {
	*config.Config
	cache string // default_ccache_name
}

const (
	// maxKrb5Conf is how much of a file is read, and maxIncludes how many files there
	// may be: a file that includes itself ends there.
	maxKrb5Conf = 1 << 20
	maxIncludes = 100
)

// The strong kinds of encryption, and the one that older directories still use. A key
// distribution centre picks one that it knows.
const encryptions = "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128 aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 arcfour-hmac-md5"

// readKrb5Conf reads the files, separated by colons as in KRB5_CONFIG. Of a setting
// that is there more than once, the first counts, as with MIT's library. Files that do
// not exist are left out: the rest may be in the DNS.
func readKrb5Conf(files string) (krb5Conf, error) {
	base, err := config.NewFromString("[libdefaults]\n default_tgs_enctypes = " + encryptions + "\n default_tkt_enctypes = " + encryptions + "\n")
	if err != nil {
		return krb5Conf{}, err
	}
	base.LibDefaults.DNSLookupKDC = true
	r := krb5Reader{conf: krb5Conf{Config: base}, seen: map[string]bool{}}
	if files == "" {
		files = defaultKrb5Conf
	}
	for file := range strings.SplitSeq(files, ":") {
		if err := r.file(file); err != nil {
			return krb5Conf{}, refusal("cannot read the Kerberos configuration: %v", err)
		}
	}
	return r.conf, nil
}

// krb5Reader reads files of the form of krb5.conf.
type krb5Reader struct {
	conf  krb5Conf
	files int
	seen  map[string]bool // settings of libdefaults
}

var (
	includeLine = regexp.MustCompile(`^(include|includedir)\s+(\S.*)$`)
	// includedName is which files of an included directory count.
	includedName = regexp.MustCompile(`^[A-Za-z0-9_-]+$|^[^.].*\.conf$`)
)

func (r *krb5Reader) file(path string) error {
	if path = strings.TrimSpace(path); path == "" {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if r.files++; r.files > maxIncludes {
		return fmt.Errorf("%s: too many files are included", path)
	}
	return r.read(f)
}

func (r *krb5Reader) directory(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() && includedName.MatchString(e.Name()) {
			if err := r.file(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *krb5Reader) read(from io.Reader) error {
	section, block, depth := "", "", 0
	lines := bufio.NewScanner(io.LimitReader(from, maxKrb5Conf))
	lines.Buffer(nil, maxKrb5Conf)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "", line[0] == '#', line[0] == ';':
			continue
		case line[0] == '[':
			name, _, _ := strings.Cut(line[1:], "]")
			section, depth = strings.ToLower(name), 0
			continue
		case line[0] == '}':
			depth = max(0, depth-1)
			continue
		}
		if m := includeLine.FindStringSubmatch(line); m != nil && depth == 0 {
			read := r.file
			if m[1] == "includedir" {
				read = r.directory
			}
			if err := read(m[2]); err != nil {
				return err
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if strings.HasPrefix(value, "{") {
			if depth++; depth == 1 {
				block = key
			}
			continue
		}
		switch {
		case section == "libdefaults" && depth == 0:
			r.setting(strings.ToLower(key), value)
		case section == "realms" && depth == 1 && strings.EqualFold(key, "kdc"):
			r.kdc(block, value)
		case section == "domain_realm" && depth == 0:
			if key = strings.ToLower(key); r.conf.DomainRealm[key] == "" {
				r.conf.DomainRealm[key] = value
			}
		}
	}
	return lines.Err()
}

// setting takes a line of libdefaults. One that it does not understand does not matter
// here.
func (r *krb5Reader) setting(key, value string) {
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	d := &r.conf.LibDefaults
	switch key {
	case "default_realm":
		d.DefaultRealm = value
	case "default_ccache_name":
		r.conf.cache = value
	case "dns_lookup_kdc":
		d.DNSLookupKDC = isTrue(value)
	case "dns_canonicalize_hostname":
		d.DNSCanonicalizeHostname = isTrue(value) || value == "fallback"
	case "udp_preference_limit":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			d.UDPPreferenceLimit = n
		}
	case "ticket_lifetime":
		if v := krb5Duration(value); v > 0 {
			d.TicketLifetime = v
		}
	case "renew_lifetime":
		d.RenewLifetime = krb5Duration(value)
	case "clockskew":
		if v := krb5Duration(value); v > 0 {
			d.Clockskew = v
		}
	}
}

// kdc adds the address of a realm's key distribution centre. Those that are reached in
// another way than by UDP and TCP are left out.
func (r *krb5Reader) kdc(realm, address string) {
	if strings.Contains(address, "://") || address == "" {
		return
	}
	address = strings.TrimPrefix(strings.TrimPrefix(address, "tcp/"), "udp/")
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "88")
	}
	for i := range r.conf.Realms {
		if r.conf.Realms[i].Realm == realm {
			r.conf.Realms[i].KDC = append(r.conf.Realms[i].KDC, address)
			return
		}
	}
	r.conf.Realms = append(r.conf.Realms, config.Realm{Realm: realm, KDC: []string{address}})
}

func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "y", "yes", "true", "t", "1", "on":
		return true
	}
	return false
}

// krb5Duration reads a duration: seconds, h:m, h:m:s, or like 1d2h3m4s. Anything else
// is 0.
func krb5Duration(text string) time.Duration {
	text = strings.ReplaceAll(text, " ", "")
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second
	}
	if h, rest, ok := strings.Cut(text, ":"); ok {
		m, s, _ := strings.Cut(rest+":0", ":")
		text = h + "h" + m + "m" + strings.TrimSuffix(s, ":0") + "s"
	}
	days := time.Duration(0)
	if d, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.Atoi(d)
		if err != nil {
			return 0
		}
		days = time.Duration(n) * 24 * time.Hour
		if rest == "" {
			return days
		}
		text = rest
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return days + v
}
