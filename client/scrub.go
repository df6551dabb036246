package client

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTextLen is how many bytes of a server's or the transport's words are shown,
// maxDetailLen of these and ours together.
const (
	maxTextLen   = 300
	maxDetailLen = 600
)

// secretShapes match credentials in text that came from elsewhere: a server that
// quotes the request, a proxy's URL, a redirect with a ticket in it.
var secretShapes = regexp.MustCompile(`(?i)TICKET_[A-Za-z0-9._~+/=-]+` +
	`|VElDS0VU[A-Za-z0-9+/=]+` + // base64 of TICKET
	`|alf_ticket(?:[=:]|%3D)?[^&\s"'<>]*` +
	`|(?:proxy-)?authorization\s*[:=]?\s*(?:(?:basic|bearer|digest|negotiate)\s+)?[A-Za-z0-9._~+/=-]*` +
	`|\b(?:basic|bearer)\s+[A-Za-z0-9._~+/=-]{6,}` +
	`|\b(?:set-)?cookie:\s*[^\s;]+(?:;\s*[^\s;=]+=[^\s;]*)*` +
	`|\bJSESSIONID=[^\s;"'<>]+` +
	`|//[^/@\s"'<>]+@`)

// scrubber takes the credentials out of text and makes it fit to be shown.
type scrubber struct {
	replace func(string) string // a function cannot be printed by accident
}

// newScrubber returns a scrubber that knows this account's password, as it is
// and in the forms in which it travels.
func newScrubber(username string, password Secret) scrubber {
	secret := password.Reveal()
	var pairs []string
	for _, form := range []string{
		base64.StdEncoding.EncodeToString([]byte(username + ":" + secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)),
		url.QueryEscape(secret), url.PathEscape(secret), secret,
	} {
		// A shorter one would blank parts of ordinary words and hide nothing.
		if len(form) >= 4 {
			pairs = append(pairs, form, redacted)
		}
	}
	return scrubber{strings.NewReplacer(pairs...).Replace}
}

// also returns a scrubber that takes out what replace does as well.
func (s scrubber) also(replace func(string) string) scrubber {
	first := s.replace
	return scrubber{func(text string) string { return replace(first(text)) }}
}

// clean returns text on one line, without control characters and secrets, cut
// to maxTextLen.
func (s scrubber) clean(text string) string { return s.cleanTo(maxTextLen, text) }

// cleanTo is clean for another length. Text is never cut before it is cleaned,
// or a secret could survive as a piece that nothing recognises.
func (s scrubber) cleanTo(limit int, text string) string {
	const rough = 8 << 10 // only so that a huge text costs little
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
