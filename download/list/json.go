package list

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// jsonList reads one JSON object {"nodeIds": […]} character by character: a mistake
// fails the write that brings it. It accepts a single string in place of the array, as
// the server does.
type jsonList struct {
	state   jsonState
	inArray bool
	key     bool // the string being read is the property's name
	text    strings.Builder
	hex     rune // of an escape; digits are still missing
	digits  int
	high    rune // first half of a surrogate pair
}

type jsonState uint8

const (
	jsonOpen       jsonState = iota // before {
	jsonKey                         // before the property's name
	jsonColon                       // before :
	jsonValue                       // before [ or a string
	jsonFirst                       // after [
	jsonItem                        // after , in the array
	jsonItemEnd                     // after a string of the array
	jsonClose                       // before }
	jsonEnd                         // after }
	jsonString                      // in a string
	jsonEscape                      // after \
	jsonHex                         // in the digits of \u
	jsonSecondHalf                  // after the first half of a surrogate pair, before \
)

const (
	reasonJSON     = "it is not the JSON that is accepted here"
	reasonProperty = "the only property is nodeIds"
	reasonString   = "the JSON string is malformed"
)

func (j *jsonList) complete() bool { return j.state == jsonEnd }

// rune takes the next character. At the end of an entry it returns the entry and true.
// A reason says what is wrong.
func (j *jsonList) rune(r rune) (entry string, ended bool, reason string) {
	switch j.state {
	case jsonString, jsonEscape, jsonHex, jsonSecondHalf:
		return j.stringRune(r)
	}
	if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
		return "", false, ""
	}
	switch j.state {
	case jsonOpen:
		j.state = jsonKey // the caller saw the {
		return "", false, ""
	case jsonKey:
		if r == '"' {
			j.startString(true)
			return "", false, ""
		}
	case jsonColon:
		if r == ':' {
			j.state = jsonValue
			return "", false, ""
		}
	case jsonValue:
		if r == '[' {
			j.state, j.inArray = jsonFirst, true
			return "", false, ""
		}
		if r == '"' {
			j.startString(false)
			return "", false, ""
		}
	case jsonFirst, jsonItem:
		if r == '"' {
			j.startString(false)
			return "", false, ""
		}
		if r == ']' && j.state == jsonFirst {
			j.state = jsonClose
			return "", false, ""
		}
	case jsonItemEnd:
		if r == ',' {
			j.state = jsonItem
			return "", false, ""
		}
		if r == ']' {
			j.state = jsonClose
			return "", false, ""
		}
	case jsonClose:
		if r == '}' {
			j.state = jsonEnd
			return "", false, ""
		}
		if r == ',' {
			return "", false, reasonProperty
		}
	}
	return string(r), false, reasonJSON
}

func (j *jsonList) startString(key bool) {
	j.text.Reset()
	j.state, j.key = jsonString, key
}

// endString ends the property's name or an entry.
func (j *jsonList) endString() (entry string, ended bool, reason string) {
	s := j.text.String()
	j.text.Reset()
	switch {
	case j.key && s != "nodeIds":
		return s, false, reasonProperty
	case j.key:
		j.state = jsonColon
		return "", false, ""
	case j.inArray:
		j.state = jsonItemEnd
	default:
		j.state = jsonClose
	}
	return s, true, ""
}

func (j *jsonList) stringRune(r rune) (entry string, ended bool, reason string) {
	switch j.state {
	case jsonString:
		switch {
		case r == '"':
			return j.endString()
		case r == '\\':
			j.state = jsonEscape
		case r < ' ':
			return j.text.String(), false, reasonString
		default:
			return j.add(r)
		}
	case jsonSecondHalf:
		if r != '\\' {
			return j.text.String(), false, reasonString
		}
		j.state = jsonEscape
	case jsonEscape:
		if r == 'u' {
			j.state, j.hex, j.digits = jsonHex, 0, 4
			return "", false, ""
		}
		at := strings.IndexRune(`"\/bfnrt`, r)
		if at < 0 || j.high != 0 {
			return j.text.String(), false, reasonString
		}
		j.state = jsonString
		return j.add(rune("\"\\/\b\f\n\r\t"[at]))
	case jsonHex:
		d := strings.IndexRune("0123456789abcdef", unicode.ToLower(r))
		if d < 0 {
			return j.text.String(), false, reasonString
		}
		j.hex = j.hex<<4 | rune(d)
		if j.digits--; j.digits == 0 {
			return j.endEscape()
		}
	}
	return "", false, ""
}

// endEscape takes the character of a \u escape. Characters beyond the first plane come
// in two halves.
func (j *jsonList) endEscape() (entry string, ended bool, reason string) {
	r := j.hex
	j.state = jsonString
	switch {
	case j.high != 0:
		r = utf16.DecodeRune(j.high, j.hex)
		j.high = 0
		if r == '\uFFFD' {
			return j.text.String(), false, reasonString
		}
	case utf16.IsSurrogate(r) && r < 0xDC00:
		j.high, j.state = r, jsonSecondHalf
		return "", false, ""
	case utf16.IsSurrogate(r), r == 0:
		return j.text.String(), false, reasonString
	}
	return j.add(r)
}

func (j *jsonList) add(r rune) (entry string, ended bool, reason string) {
	if j.text.Len() >= maxEntryBytes {
		return j.text.String(), false, "it is too long"
	}
	j.text.WriteRune(r)
	return "", false, ""
}

// checkUnfinished returns the string being read and the reason why it can no longer
// become right.
func (j *jsonList) checkUnfinished() (entry, reason string) {
	switch j.state {
	case jsonString, jsonEscape, jsonHex, jsonSecondHalf:
	default:
		return "", ""
	}
	s := j.text.String()
	if !j.key {
		return s, checkJSONEntryStart(s)
	}
	if !strings.HasPrefix("nodeIds", s) {
		return s, reasonProperty
	}
	return "", ""
}
