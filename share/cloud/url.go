package cloud

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// plain are prefixes that mean the same to every store.
var plain = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$`)

// Schemes returns the schemes of the stores in this build, in order.
func Schemes() []string { return slices.Sorted(maps.Keys(drivers)) }

// Check reports what is wrong with the URL of a store. The error never shows what may
// be a secret.
func Check(u *url.URL) error {
	d, ok := drivers[u.Scheme]
	switch {
	case !ok:
		return fmt.Errorf("%s:// is not in this build", u.Scheme)
	case u.User != nil:
		return errors.New("holds a login")
	case u.Host == "" || u.Port() != "" || u.Fragment != "":
		return fmt.Errorf("names no bucket; write it like %s://bucket/prefix", u.Scheme)
	case !plain.MatchString(u.Path):
		return errors.New("has a prefix that not every store takes; use letters, digits, '.', '_', '-' and '/'")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("has parameters that cannot be read")
	}
	for name, values := range q {
		if !slices.Contains(d.params, name) {
			return fmt.Errorf("has a parameter that %s:// does not take; it takes %s, and no login", u.Scheme, listed(d.params))
		}
		if len(values) > 1 {
			return fmt.Errorf("has the parameter %s twice", name)
		}
	}
	if text := q.Get("endpoint"); text != "" {
		e, err := url.Parse(text)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
			return errors.New("has an endpoint that is not a plain URL; write it like endpoint=https://minio.example.com:9000")
		}
	}
	return nil
}

func listed(params []string) string {
	if len(params) == 0 {
		return "none"
	}
	return strings.Join(params, ", ")
}
