package download

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxListBytes is how long a list written to the control file may be.
const MaxListBytes = 4 << 20

// List is a parsed list of what to zip, in order, without duplicates. Each
// entry is either a node id or a repository path that still has to be resolved.
type List struct {
	Entries []Entry
}

// Entry is one line of a List; exactly one field is set.
type Entry struct {
	// Node is as it was written, a version suffix (";1.0") included.
	Node NodeID
	// Path is absolute or starts with -root-, -my- or -shared-.
	Path string
}

// ListParser reads a list as it is written, piece by piece. How the list is cut
// into pieces never changes the result. The zero value is ready; it is not safe
// for concurrent use.
//
// Entries are separated by white space or commas: node ids, NodeRefs, and URLs
// that carry either. A line that starts with a slash or with -root-, -my- or
// -shared- is one path up to its end, spaces, commas and number signs included.
// Elsewhere a number sign where an entry could start begins a comment. Instead
// of all that, the list may be one JSON object {"nodeIds": […]}, whose strings
// are such entries.
type ListParser struct {
	state listState
	err   error
	size  int // bytes taken so far
	line  int // newlines seen so far

	carry []byte // the start of a rune that is not all there yet
	entry []byte // the entry being read
	long  bool   // entry is over maxEntryBytes and was cut
	json  jsonList

	list List
	seen map[string]struct{} // bare node ids and paths
}

type listState uint8

const (
	listStart   listState = iota // before the first character, where a BOM may be
	listBlank                    // only white space so far in this line
	listBetween                  // between two entries of a line
	listToken                    // in an id, NodeRef or URL
	listPath                     // in a path, which goes on to the end of the line
	listComment                  // in a comment, which does too
	listJSON                     // in or after the JSON object
	listDone                     // Finish was called
)

// maxEntryBytes bounds one entry, so that a list without separators is refused
// early and an error can name the entry.
const maxEntryBytes = 8 << 10

// Write adds p. It fails with ErrInvalid as soon as an entry cannot be right,
// naming the line and the entry, and with ErrListTooLong beyond MaxListBytes. A
// parser that failed stays failed.
func (lp *ListParser) Write(p []byte) (int, error) {
	if lp.err != nil {
		return 0, lp.err
	}
	if lp.state == listDone {
		return 0, fmt.Errorf("list was ended already: %w", ErrInvalid)
	}
	// What fits is judged first: what is wrong in it is wrong however the list
	// is cut.
	n := min(len(p), MaxListBytes-lp.size)
	lp.size += n
	lp.err = lp.take(p[:n])
	if lp.err == nil {
		lp.err = lp.checkUnfinished()
	}
	if lp.err == nil && n < len(p) {
		lp.err = fmt.Errorf("over %d bytes: %w", MaxListBytes, ErrListTooLong)
	}
	if lp.err != nil {
		return 0, lp.err
	}
	return n, nil
}

// Finish ends the list. An empty list is no error.
func (lp *ListParser) Finish() (List, error) {
	if lp.err != nil {
		return List{}, lp.err
	}
	if lp.state == listDone {
		return lp.list, nil
	}
	if lp.err = lp.finish(); lp.err != nil {
		return List{}, lp.err
	}
	lp.state, lp.seen = listDone, nil
	return lp.list, nil
}

func (lp *ListParser) finish() error {
	if len(lp.carry) > 0 {
		return lp.fail("", "it is not UTF-8 text")
	}
	switch lp.state {
	case listToken, listPath:
		return lp.endEntry()
	case listJSON:
		if !lp.json.complete() {
			return lp.fail("", "the JSON object is not complete")
		}
	}
	return nil
}

// take decodes p into runes; a rune cut by the end of p waits in carry.
func (lp *ListParser) take(p []byte) error {
	for len(lp.carry) > 0 && len(p) > 0 {
		lp.carry = append(lp.carry, p[0])
		p = p[1:]
		if utf8.FullRune(lp.carry) {
			r, n := utf8.DecodeRune(lp.carry)
			if r == utf8.RuneError && n <= 1 {
				return lp.fail("", "it is not UTF-8 text")
			}
			lp.carry = lp.carry[:0]
			if err := lp.rune(r); err != nil {
				return err
			}
		}
	}
	for len(p) > 0 {
		r, n := rune(p[0]), 1
		if r >= utf8.RuneSelf {
			if !utf8.FullRune(p) {
				lp.carry = append(lp.carry, p...)
				return nil
			}
			if r, n = utf8.DecodeRune(p); r == utf8.RuneError && n <= 1 {
				return lp.fail("", "it is not UTF-8 text")
			}
		}
		p = p[n:]
		if err := lp.rune(r); err != nil {
			return err
		}
	}
	return nil
}

// rune advances the state machine by one character.
func (lp *ListParser) rune(r rune) error {
	if r == 0 {
		return lp.fail("", "it holds a NUL byte")
	}
	if lp.state == listStart {
		lp.state = listBlank
		if r == '\uFEFF' {
			return nil
		}
	}
	switch lp.state {
	case listJSON:
		if err := lp.jsonRune(r); err != nil {
			return err
		}
	case listComment:
		if r == '\n' {
			lp.state = listBlank
		}
	case listPath:
		if r == '\n' {
			if err := lp.endEntry(); err != nil {
				return err
			}
			lp.state = listBlank
		} else {
			lp.add(r)
		}
	case listToken:
		if !separates(r) {
			lp.add(r)
			break
		}
		if err := lp.endEntry(); err != nil {
			return err
		}
		lp.between(r)
	case listBlank, listBetween:
		switch {
		case separates(r):
			lp.between(r)
		case r == '#':
			lp.state = listComment
		case r == '{' && len(lp.list.Entries) == 0 && lp.state == listBlank:
			lp.state = listJSON
			return lp.jsonRune(r)
		case r == '/' || r == '-':
			if lp.state == listBetween {
				return lp.fail(string(r), "a path must stand on a line of its own")
			}
			lp.state = listPath
			lp.add(r)
		default:
			lp.state = listToken
			lp.add(r)
		}
	}
	if r == '\n' {
		lp.line++
	}
	return nil
}

// between moves on after separator r. A comma counts as part of the line: what
// follows it does not start one.
func (lp *ListParser) between(r rune) {
	switch {
	case r == '\n':
		lp.state = listBlank
	case r == ',' || lp.state == listToken:
		lp.state = listBetween
	}
}

func separates(r rune) bool { return r == ',' || unicode.IsSpace(r) }

func (lp *ListParser) add(r rune) {
	if len(lp.entry) >= maxEntryBytes {
		lp.long = true
		return
	}
	lp.entry = utf8.AppendRune(lp.entry, r)
}

// endEntry takes the entry read so far into the list.
func (lp *ListParser) endEntry() error {
	text := string(lp.entry)
	lp.entry = lp.entry[:0]
	if lp.long {
		return lp.fail(text, "it is too long")
	}
	parse := parseToken
	if lp.state == listPath {
		parse = parsePath
		text = strings.TrimRight(text, " \t\r")
	}
	e, reason := parse(text)
	if reason != "" {
		return lp.fail(text, reason)
	}
	lp.append(e)
	return nil
}

// append adds e unless the list has it.
func (lp *ListParser) append(e Entry) {
	key := e.Path
	if e.Node != "" {
		key = bareID(string(e.Node)) // paths start with / or -, node ids never do
	}
	if _, dup := lp.seen[key]; dup {
		return
	}
	if lp.seen == nil {
		lp.seen = make(map[string]struct{})
	}
	lp.seen[key] = struct{}{}
	lp.list.Entries = append(lp.list.Entries, e)
}

// checkUnfinished fails when the entry at the end of what was written so far
// can no longer become a right one, so that a writer hears of it at once.
func (lp *ListParser) checkUnfinished() error {
	text := string(lp.entry)
	reason := ""
	switch {
	case lp.long:
		reason = "it is too long"
	case lp.state == listToken:
		reason = checkTokenStart(text)
	case lp.state == listPath:
		reason = checkPathStart(text)
	case lp.state == listJSON:
		text, reason = lp.json.checkUnfinished()
	}
	if reason != "" {
		return lp.fail(text, reason)
	}
	return nil
}

// jsonRune hands r to the JSON reader.
func (lp *ListParser) jsonRune(r rune) error {
	entry, ended, reason := lp.json.rune(r)
	if reason != "" {
		return lp.fail(entry, reason)
	}
	if !ended {
		return nil
	}
	e, reason := parseJSONEntry(entry)
	if reason != "" {
		return lp.fail(entry, reason)
	}
	lp.append(e)
	return nil
}

// accepted is said with every malformed entry.
const accepted = "write node ids, NodeRefs (workspace://SpacesStore/ID) or URLs that carry one, " +
	`a path such as /Sites/… on a line of its own, or one JSON object {"nodeIds": […]}`

// fail returns the error for the current line.
func (lp *ListParser) fail(entry, reason string) error {
	if entry == "" {
		return because(ErrInvalid, "line %d: %s; %s", lp.line+1, reason, accepted)
	}
	return because(ErrInvalid, "line %d: %s: %s; %s", lp.line+1, quoteEntry(entry), reason, accepted)
}

// quoteEntry makes an entry fit for an error text: short, and without the part
// of a URL in which a ticket or password may stand.
func quoteEntry(s string) string {
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
