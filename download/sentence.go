package download

import (
	"fmt"
	"strings"
	"unicode"
)

// condition says why an archive cannot be had: one plain sentence, and the sentinel
// that it wraps.
type condition struct {
	sentence string
	sentinel error
	reason   string // see Reason
}

func (c *condition) Error() string  { return c.sentence }
func (c *condition) Unwrap() error  { return c.sentinel }
func (c *condition) Reason() string { return c.reason }

// Because returns an error that wraps sentinel. Its text is one plain sentence for
// people: what happened, to what, and what to do.
func Because(sentinel error, format string, args ...any) error {
	return &condition{sentence: plain(fmt.Sprintf(format, args...)), sentinel: sentinel}
}

// plain makes one short line of a text that may contain a server's words.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 2000)])
	const limit = 400
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit-1]) + "…"
	}
	return strings.TrimSpace(s)
}

// Quote makes a user's text fit for an error: short, on one line, and without the parts
// of a URL that may hold a ticket or password.
func Quote(s string) string {
	if i := strings.Index(s, "://"); i >= 0 {
		rest := s[i+3:]
		if end := strings.IndexAny(rest, "?;"); end >= 0 {
			rest = rest[:end] + "…"
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = "…" + rest[at:]
		}
		s = s[:i+3] + rest
	}
	const limit = 60
	if runes := []rune(s[:min(len(s), 4*limit)]); len(runes) > limit {
		s = string(runes[:limit]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
