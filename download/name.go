package download

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxNameBytes = 255 // NAME_MAX

var uuidPattern = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// checkName reports why the directory of download id cannot be called name, wrapping
// ErrName or ErrNameText. Another id is refused even if no such download is listed: a
// new download's directory is always free. Hidden names and the names that desktops
// probe for are refused because they would be found in every mount.
func checkName(name string, id ID) error {
	reason, sentinel := "", ErrName
	switch {
	case name == string(id):
		return nil
	case name == "" || len(name) > maxNameBytes:
		reason = "a name has 1 to 255 bytes"
	case !utf8.ValidString(name):
		reason, sentinel = "a name is UTF-8 text", ErrNameText
	case strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, "/"):
		reason = "a name has no slashes and no control characters"
	case strings.ContainsFunc(name, reorders):
		reason = "a name has no characters that show it as another one"
	case strings.HasPrefix(name, "."):
		reason = "a name does not start with a dot"
	case name == ControlFile || strings.EqualFold(name, "autorun.inf"):
		reason = "the name is reserved"
	case uuidPattern.MatchString(name):
		reason = "only the download itself can be called by its id"
	default:
		return nil
	}
	return Because(sentinel, "name %s: %s", Quote(name), reason)
}

// reorders reports whether r makes the text after it be shown in another order than it
// is read. The marks and letters of right-to-left scripts do not.
func reorders(r rune) bool { return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' }

// defaultArchiveName is the server's name for a zip of several nodes.
const defaultArchiveName = "archive.zip"

// safeFileName returns name, or the default when the server sent something that is no
// file name or would be shown as another one.
func safeFileName(name string) string {
	if name == "" || name == "." || name == ".." || len(name) > maxNameBytes ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, `/\`) ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
		return defaultArchiveName
	}
	return name
}
