package download

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxNameBytes = 255 // NAME_MAX

var uuidPattern = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// checkName reports why name cannot be what the directory of download id is
// called, wrapping ErrInvalid. An id other than its own is refused even where no
// such download is listed, so that a new download's directory is always free.
// Hidden names and the names desktops probe for would be found in every mount.
func checkName(name string, id ID) error {
	reason := ""
	switch {
	case name == string(id):
		return nil
	case name == "" || len(name) > maxNameBytes:
		reason = "a name has 1 to 255 bytes"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, "/"):
		reason = "a name is UTF-8 text without slashes and control characters"
	case strings.HasPrefix(name, "."):
		reason = "a name does not start with a dot"
	case name == ControlFile || strings.EqualFold(name, "autorun.inf"):
		reason = "the name is reserved"
	case uuidPattern.MatchString(name):
		reason = "only the download itself can be called by its id"
	default:
		return nil
	}
	return Because(ErrInvalid, "name %s: %s", Quote(name), reason)
}

// defaultArchiveName is how the server calls a zip of several nodes.
const defaultArchiveName = "archive.zip"

// safeFileName returns name, or the default when a server sent something that is
// no file name or would be shown as another one.
func safeFileName(name string) string {
	if name == "" || name == "." || name == ".." || len(name) > maxNameBytes ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, `/\`) ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
		return defaultArchiveName
	}
	return name
}
