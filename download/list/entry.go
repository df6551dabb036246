package list

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"downloadfs/download"
)

// The parse functions below return the reason why a text is no entry, or "". Each has a
// twin that judges the start of a text: it gives a reason only when no continuation
// could be parsed.

const (
	nodeRefStore = "workspace://SpacesStore/"
	uuidLen      = 36

	reasonUnknown = "it is not a node id, NodeRef or URL, and a path starts with /, -root-/, -my-/ or -shared-/"
	reasonInLine  = "a path must stand on a line of its own"
	reasonPWC     = "a private working copy (;pwc) cannot be downloaded"
	reasonURL     = "the URL carries no node id"
	reasonStore   = "only NodeRefs of workspace://SpacesStore can be downloaded"
	reasonPath    = "a path starts with /, -root-/, -my-/ or -shared-/ and has no control characters"
)

var (
	uuidInside     = regexp.MustCompile(`[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`)
	versionPattern = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)
	// nodeRefInside finds the node of a nodeRef parameter.
	nodeRefInside = regexp.MustCompile(`(?i:nodeRef)=workspace://SpacesStore/([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:$|[&#)])`)
	// storePath finds the node in URLs that write a NodeRef as a path.
	storePath = regexp.MustCompile(`/workspace/SpacesStore/([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:$|[/?#&])`)
)

// parseToken parses an entry without white space: an id, NodeRef or URL.
func parseToken(s string) (download.Entry, string) {
	switch {
	case startsPath(s):
		return download.Entry{}, reasonInLine
	case isURL(s):
		if id := nodeOfURL(s); id != "" {
			return download.Entry{Node: download.NodeID(id)}, ""
		}
		return download.Entry{}, reasonURL
	case strings.HasPrefix(s, nodeRefStore):
		return parseNodeID(s[len(nodeRefStore):], isNodeID)
	case strings.Contains(s, "://"):
		return download.Entry{}, reasonStore
	default:
		return parseNodeID(s, isUUID)
	}
}

// parseNodeID parses an id with an optional version, which the server ignores.
func parseNodeID(s string, isID func(string) bool) (download.Entry, string) {
	id, version, versioned := strings.Cut(s, ";")
	switch {
	case !isID(id):
		return download.Entry{}, reasonUnknown
	case versioned && strings.EqualFold(version, "pwc"):
		return download.Entry{}, reasonPWC
	case versioned && !versionPattern.MatchString(version):
		return download.Entry{}, reasonUnknown
	}
	return download.Entry{Node: download.NodeID(s)}, ""
}

// checkTokenStart is parseToken's twin.
func checkTokenStart(s string) string {
	if isURL(s) {
		return "" // a node id may still come
	}
	if startsPath(s) {
		return reasonInLine
	}
	if _, reason := parseToken(s); reason == "" {
		return ""
	}
	for _, scheme := range []string{"http://", "https://"} {
		if len(s) < len(scheme) && strings.EqualFold(s, scheme[:len(s)]) {
			return ""
		}
	}
	if strings.HasPrefix(nodeRefStore, s) {
		return ""
	}
	isID, isStart := isUUID, uuidStart
	if rest, ok := strings.CutPrefix(s, nodeRefStore); ok {
		s, isID, isStart = rest, isNodeID, isNodeID
	} else if strings.Contains(s, "://") {
		return reasonStore
	}
	id, version, versioned := strings.Cut(s, ";")
	switch {
	case !versioned && !isStart(id), versioned && !isID(id):
		return reasonUnknown
	case strings.EqualFold(version, "pwc"):
		return reasonPWC
	case version != "" && !versionPattern.MatchString(version+"0"):
		return reasonUnknown // "1." goes on, "1.x" does not
	}
	return ""
}

func isNodeID(s string) bool { return !strings.Contains(s, ";") && download.NodeID(s).Valid() }

func isUUID(s string) bool { return len(s) == uuidLen && uuidStart(s) }

// uuidStart reports whether s is the start of a UUID. It is not a regular expression,
// because a list has many ids.
func uuidStart(s string) bool {
	if len(s) > uuidLen {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

func isURL(s string) bool {
	for _, scheme := range []string{"http://", "https://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// nodeOfURL returns the id of the node that a URL of a repository or of one of its web
// clients is about, or "". A nodeRef parameter in the query or the fragment wins.
// Otherwise it is the last UUID of the path and fragment, since clients name the folder
// before the file in it ("…/#/libraries/UUID/(viewer:view/UUID)").
func nodeOfURL(s string) string {
	// Clients that keep their state in the fragment escape a URL once more.
	for range 3 {
		if m := nodeRefInside.FindStringSubmatch(s); m != nil {
			return m[1]
		}
		if m := storePath.FindStringSubmatch(s); m != nil {
			return m[1]
		}
		plain, err := url.PathUnescape(s)
		if err != nil || plain == s {
			break
		}
		s = plain
	}
	head, fragment, _ := strings.Cut(s, "#")
	path, _, _ := strings.Cut(head, "?")
	place, _, _ := strings.Cut(fragment, "?")
	_, path, _ = strings.Cut(path, "://")
	_, path, _ = strings.Cut(path, "/") // not in the host's name
	if id := lastUUID(place); id != "" {
		return id
	}
	return lastUUID(path)
}

// lastUUID returns the last UUID in s that is not part of a longer word.
func lastUUID(s string) string {
	last := ""
	for _, at := range uuidInside.FindAllStringIndex(s, -1) {
		if (at[0] == 0 || !wordByte(s[at[0]-1])) && (at[1] == len(s) || !wordByte(s[at[1]])) {
			last = s[at[0]:at[1]]
		}
	}
	return last
}

func wordByte(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// startsPath reports whether s starts as only a path does.
func startsPath(s string) bool { return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "-") }

// pathRoots are the aliases that the nodes API resolves paths from.
var pathRoots = [...]string{"-root-", "-my-", "-shared-"}

// parsePath parses a repository path. An alias alone is a path too, since the downloads
// API does not accept it as a node id.
func parsePath(s string) (download.Entry, string) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return download.Entry{}, reasonPath
	}
	if strings.HasPrefix(s, "/") {
		return download.Entry{Path: s}, ""
	}
	for _, root := range pathRoots {
		if s == root || strings.HasPrefix(s, root+"/") {
			return download.Entry{Path: s}, ""
		}
	}
	return download.Entry{}, reasonPath
}

// checkPathStart is parsePath's twin for a line that has not ended. It ignores white
// space at the end, which may be the end of the line.
func checkPathStart(s string) string {
	trimmed := strings.TrimRight(s, " \t\r")
	if _, reason := parsePath(trimmed); reason == "" {
		return ""
	}
	for _, root := range pathRoots {
		if strings.HasPrefix(root, s) {
			return ""
		}
	}
	return reasonPath
}

// parseJSONEntry parses a string of the JSON form.
func parseJSONEntry(s string) (download.Entry, string) {
	if s == "" {
		return download.Entry{}, "an entry is empty"
	}
	if startsPath(s) {
		return parsePath(s)
	}
	if strings.ContainsFunc(s, separates) {
		return download.Entry{}, reasonUnknown
	}
	return parseToken(s)
}

// checkJSONEntryStart is parseJSONEntry's twin.
func checkJSONEntryStart(s string) string {
	switch {
	case s == "":
		return ""
	case startsPath(s):
		if strings.ContainsFunc(s, unicode.IsControl) {
			return reasonPath
		}
		return checkPathStart(s)
	case strings.ContainsFunc(s, separates):
		return reasonUnknown
	case !utf8.ValidString(s):
		return reasonUnknown
	}
	return checkTokenStart(s)
}
