package fs

import "strings"

// probed reports whether desktops look for name, or try to make it, in any
// directory they see. Such a name is never sent to the server.
func probed(name string) bool {
	return strings.HasPrefix(name, ".") || strings.EqualFold(name, "autorun.inf") ||
		strings.EqualFold(name, "desktop.ini") || strings.EqualFold(name, "Thumbs.db")
}

// maxName is how long a name may be, as statfs tells.
const maxName = 255
