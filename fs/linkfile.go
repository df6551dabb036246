package fs

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strings"
)

// linkIn returns the address in a link that a browser or desktop saved: an Internet
// shortcut (.url), a desktop entry (.desktop) or a web location of macOS (.webloc).
// The file's name does not matter. linkIn returns false if text is none of these.
func linkIn(text []byte) (string, bool) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	switch {
	case bytes.HasPrefix(text, []byte("bplist00")):
		return string(addressInside.Find(text)), true
	case bytes.HasPrefix(text, []byte("<?xml")), bytes.HasPrefix(text, []byte("<!DOCTYPE plist")), bytes.HasPrefix(text, []byte("<plist")):
		return linkInPlist(text), true
	case linkGroup.Match(text):
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, "="); ok {
				switch strings.ToUpper(strings.TrimSpace(key)) {
				case "URL":
					return strings.TrimSpace(value), true
				case "URL[$E]": // KDE's, where a dollar sign is doubled
					return strings.ReplaceAll(strings.TrimSpace(value), "$$", "$"), true
				}
			}
		}
		return "", true
	}
	return "", false
}

// startsLink reports whether a text that linkIn knows could start with this one.
func startsLink(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	const property = "bplist00"
	return linkStart.Match(text) || strings.HasPrefix(property, string(text[:min(len(text), len(property))]))
}

var (
	linkStart = regexp.MustCompile(`^\s*(?:#[^\n]*\n\s*)*[[<]`)
	linkGroup = regexp.MustCompile(`(?i)^\s*(?:#[^\n]*\n\s*)*\[(?:InternetShortcut|Desktop Entry)\]`)
	// addressInside finds the only address in a binary property list. The address is
	// followed by a number below 32, or by the end.
	addressInside = regexp.MustCompile(`https?://[!-~]+`)
)

// linkInPlist returns the string that follows the key URL.
func linkInPlist(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	for key := ""; ; {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "key" && start.Name.Local != "string" {
			continue
		}
		var value string
		if d.DecodeElement(&value, &start) != nil {
			return ""
		}
		if start.Name.Local == "key" {
			key = value
		} else if key == "URL" {
			return strings.TrimSpace(value)
		}
	}
}
