package fs

import "github.com/google/uuid"

// isUUID reports whether name can be the id of a download: the server gives
// each a UUID. Desktops look for other names, or try to make them, in any
// directory they see; those are never sent to the server.
func isUUID(name string) bool { return len(name) == 36 && uuid.Validate(name) == nil }

// maxName is how long a name may be, as statfs tells.
const maxName = 255
