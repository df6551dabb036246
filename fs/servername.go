package fs

import (
	"slices"
	"strings"

	"downloadfs/download"
)

// serverName returns the server's name for an archive, under which it can be found
// beside archive.zip once it is known. It returns "" while it is not known, and if it
// is the name of something else here or starts with a dot.
//
// Programs of the desktops list the archive under this name, so that what people copy
// out has a name of its own. They do not list archive.zip then, and all other programs
// list nothing else: whatever copies a directory copies the archive once. A symbolic
// link would not do, because file managers copy the link.
func serverName(s download.Snapshot) string {
	name := s.Archive.Name
	taken := func(m member) bool { return m.name == name }
	if !s.Ready || strings.HasPrefix(name, ".") || len(name) > maxName || slices.ContainsFunc(members, taken) {
		return ""
	}
	return name
}
