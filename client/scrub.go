package client

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// maxTextLen is how many bytes of a server's or the transport's words are shown, and
// maxDetailLen how many of those and ours together.
const (
	maxTextLen   = 300
	maxDetailLen = 600
)

// secretShapes matches credentials in text that came from elsewhere: from a server that
// quotes the request, a proxy's URL, a redirect with a ticket in it.
var secretShapes = regexp.MustCompile(`(?i)TICKET_[A-Za-z0-9._~+/=-]+` +
	`|VElDS0VU[A-Za-z0-9+/=]+` + // base64 of TICKET
	`|alf_ticket(?:[=:]|%3D)?[^&\s"'<>]*` +
	`|(?:proxy-)?authorization\s*[:=]?\s*(?:(?:basic|bearer|digest|negotiate)\s+)?[A-Za-z0-9._~+/=-]*` +
	`|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+` + // a JSON Web Token
	`|\b(?:basic|bearer|negotiate)\s+[A-Za-z0-9._~+/=-]{6,}` +
	`|\b(?:set-)?cookie:\s*[^\s;]+(?:;\s*[^\s;=]+=[^\s;]*)*` +
	`|\bJSESSIONID=[^\s;"'<>]+` +
	`|//[^/@\s"'<>]+@`)

// scrubber removes the credentials from text and makes it fit to be shown.
type scrubber struct {
	replace func(string) string // a function cannot be printed by accident
	learn   func(Secret)        // adds a secret of the account; safe for concurrent use
}

// maxLearned is how many secrets a scrubber knows. It forgets older ones, which have
// long been replaced.
const maxLearned = 16

// newScrubber returns a scrubber that knows this account's password, as it is and in
// the forms in which it is sent.
func newScrubber(username string, password Secret) scrubber {
	var (
		mu       sync.Mutex
		known    []Secret // guarded by mu
		replacer atomic.Pointer[strings.Replacer]
	)
	learn := func(secret Secret) {
		mu.Lock()
		defer mu.Unlock()
		if slices.Contains(known, secret) && replacer.Load() != nil {
			return
		}
		if known = append(known, secret); len(known) > maxLearned {
			known = known[1:]
		}
		replacer.Store(secretReplacer(username, known))
	}
	learn(password)
	return scrubber{replace: func(text string) string { return replacer.Load().Replace(text) }, learn: learn}
}

// secretReplacer replaces secrets in all their forms, longer ones first.
func secretReplacer(username string, secrets []Secret) *strings.Replacer {
	var forms []string
	for _, s := range secrets {
		secret := s.Reveal()
		for _, form := range []string{
			base64.StdEncoding.EncodeToString([]byte(username + ":" + secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)),
			url.QueryEscape(secret), url.PathEscape(secret), secret,
		} {
			// A shorter one would blank out parts of ordinary words and hide nothing.
			if len(form) >= 4 {
				forms = append(forms, form)
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, form := range forms {
		pairs = append(pairs, form, redacted)
	}
	return strings.NewReplacer(pairs...)
}

// also returns a scrubber that in addition removes what replace removes.
func (s scrubber) also(replace func(string) string) scrubber {
	first := s.replace
	return scrubber{replace: func(text string) string { return replace(first(text)) }, learn: s.learn}
}

// clean returns text on one line, without control characters and secrets, cut to
// maxTextLen.
func (s scrubber) clean(text string) string { return s.cleanTo(maxTextLen, text) }

// cleanTo is clean for another length. It cleans text before it cuts it: otherwise a
// piece of a secret could survive that nothing recognises.
func (s scrubber) cleanTo(limit int, text string) string {
	const rough = 8 << 10 // only to keep a huge text cheap
	if len(text) > rough {
		text = text[:rough]
	}
	text = strings.ToValidUTF8(s.replace(text), "\uFFFD")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	text = secretShapes.ReplaceAllString(s.replace(text), redacted)
	if len(text) > limit {
		n := limit
		for !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n] + "…"
	}
	return text
}
