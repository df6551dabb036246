package repository

import (
	"strings"
	"unicode/utf16"
)

// contentDisposition returns the header for a file of that name. Its filename is
// ISO-8859-1, with a blank for each UTF-16 unit that is a control character, a
// quotation mark or above 255. Its filename* is the name.
func contentDisposition(name string) string {
	var b strings.Builder
	b.WriteString(`attachment; filename="`)
	for _, u := range utf16.Encode([]rune(name)) {
		if u < 32 || u == 127 || u == '"' || u > 255 {
			u = ' '
		}
		b.WriteByte(byte(u)) // Tomcat sends headers as ISO-8859-1
	}
	b.WriteString(`"; filename*=UTF-8''`)
	const hex = "0123456789ABCDEF"
	for _, c := range []byte(name) {
		if isAttrChar(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// isAttrChar reports whether c is an RFC 5987 attr-char, which needs no escape.
func isAttrChar(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		return true
	}
	return strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}
