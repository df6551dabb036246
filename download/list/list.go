package list

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"downloadfs/download"
)

// Parser reads a request list as it is written, piece by piece. How the list is cut
// into pieces never changes the result. The zero value is ready to use; it is not safe
// for concurrent use.
//
// Entries are separated by white space or commas: node ids, NodeRefs, and URLs that
// carry either. A line that starts with a slash or with -root-, -my- or -shared- is one
// path up to its end, including spaces, commas and number signs. Elsewhere a number
// sign where an entry could start begins a comment. Instead of all that, the list may
// be one JSON object {"nodeIds": […]} whose strings are such entries.
type Parser struct {
	state listState
	err   error
	size  int // bytes taken so far
	line  int // newlines seen so far

	carry []byte // the start of a rune that is not all there yet
	entry []byte // the entry being read
	long  bool   // entry is over maxEntryBytes and was cut
	json  jsonList

	list download.List
	seen map[string]struct{} // bare node ids and paths
}

type listState uint8

const (
	listStart   listState = iota // before the first character, where a BOM may be
	listBlank                    // only white space so far in this line
	listBetween                  // between two entries of a line
	listToken                    // in an id, NodeRef or URL
	listPath                     // in a path, up to the end of the line
	listComment                  // in a comment, up to the end of the line
	listJSON                     // in or after the JSON object
	listDone                     // Finish was called
)

// ErrTooLong is the error for a list beyond download.MaxListBytes.
var ErrTooLong = download.Because(download.ErrListTooLong,
	"the request list is longer than %d MiB; write it as several lists", download.MaxListBytes>>20)

// maxEntryBytes bounds one entry. A list without separators is refused early, and an
// error can name the entry.
const maxEntryBytes = 8 << 10

// Write adds p. It fails with download.ErrInvalid as soon as an entry cannot be right,
// naming the line and the entry, and with [ErrTooLong] beyond download.MaxListBytes. A parser that failed stays failed.
func (lp *Parser) Write(p []byte) (int, error) {
	if lp.err != nil {
		return 0, lp.err
	}
	if lp.state == listDone {
		return 0, fmt.Errorf("the request list has ended already: %w", download.ErrInvalid)
	}
	// Judge what fits first: a mistake in it is a mistake however the list is cut.
	n := min(len(p), download.MaxListBytes-lp.size)
	lp.size += n
	lp.err = lp.take(p[:n])
	if lp.err == nil {
		lp.err = lp.checkUnfinished()
	}
	if lp.err == nil && n < len(p) {
		lp.err = ErrTooLong
	}
	if lp.err != nil {
		return 0, lp.err
	}
	return n, nil
}

// Finish ends the list. An empty list is no error.
func (lp *Parser) Finish() (download.List, error) {
	if lp.err != nil {
		return download.List{}, lp.err
	}
	if lp.state == listDone {
		return lp.list, nil
	}
	if lp.err = lp.finish(); lp.err != nil {
		return download.List{}, lp.err
	}
	lp.state, lp.seen = listDone, nil
	return lp.list, nil
}

func (lp *Parser) finish() error {
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

// take decodes p into runes. A rune cut by the end of p waits in carry.
func (lp *Parser) take(p []byte) error {
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
func (lp *Parser) rune(r rune) error {
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
		case (r == '/' || r == '-') && lp.state == listBlank:
			lp.state = listPath
			lp.add(r)
		default: // also a path in a line, which is refused once it can be quoted
			lp.state = listToken
			lp.add(r)
		}
	}
	if r == '\n' {
		lp.line++
	}
	return nil
}

// between moves on after separator r. A comma counts as part of the line: the text
// after it does not start a line.
func (lp *Parser) between(r rune) {
	switch {
	case r == '\n':
		lp.state = listBlank
	case r == ',' || lp.state == listToken:
		lp.state = listBetween
	}
}

func separates(r rune) bool { return r == ',' || unicode.IsSpace(r) }

func (lp *Parser) add(r rune) {
	if len(lp.entry) >= maxEntryBytes {
		lp.long = true
		return
	}
	lp.entry = utf8.AppendRune(lp.entry, r)
}

// endEntry takes the entry read so far into the list.
func (lp *Parser) endEntry() error {
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
func (lp *Parser) append(e download.Entry) {
	key := e.Path
	if e.Node != "" {
		key = string(e.Node.Bare()) // paths start with / or -, node ids never do
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

// checkUnfinished fails when the entry at the end of the text so far can no longer
// become right. The writer learns of it at once.
func (lp *Parser) checkUnfinished() error {
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
func (lp *Parser) jsonRune(r rune) error {
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

// accepted is part of the error for every malformed entry.
const accepted = "write node ids, NodeRefs (workspace://SpacesStore/ID) or URLs that carry one, " +
	`a path such as /Sites/… on a line of its own, or one JSON object {"nodeIds": […]}`

// fail returns the error for the current line.
func (lp *Parser) fail(entry, reason string) error {
	if entry == "" {
		return download.Because(download.ErrInvalid, "line %d: %s; %s", lp.line+1, reason, accepted)
	}
	return download.Because(download.ErrInvalid, "line %d: %s: %s; %s", lp.line+1, download.Quote(entry), reason, accepted)
}
