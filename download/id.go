package download

import (
	"fmt"
	"regexp"
)

// ID is the id of a download node, as the server gave it. It is also the name of the
// download's directory until the user renames it. Only ids that [ParseID] accepts are
// ever taken from a server.
type ID string

// idPattern matches UUIDs and the other node ids an Alfresco database can hold, and
// nothing that could be a path, an option or a control character.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ParseID returns s as an ID, or an error wrapping [ErrInvalid] when s could
// not safely be the name of a directory in the mount. An id that collides with
// a fixed name there ("new") is refused as well.
func ParseID(s string) (ID, error) {
	if !idPattern.MatchString(s) || s == ControlFile {
		return "", fmt.Errorf("download id %.64q: %w", s, ErrInvalid)
	}
	return ID(s), nil
}

// ControlFile is the name in the downloads directory that no download can have.
const ControlFile = "new"
