package fs

import "github.com/google/uuid"

// isUUID reports whether name can be the id of a download: the server gives each
// download a UUID. Desktops look for other names, or try to make them, in any
// directory they see. Those names are never sent to the server.
func isUUID(name string) bool { return len(name) == 36 && uuid.Validate(name) == nil }

// maxName is how long a name may be, as statfs reports it.
const maxName = 255
