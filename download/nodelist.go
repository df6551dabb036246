package download

import (
	"regexp"
	"strings"
)

// MaxListBytes is the longest request list that can be written to the control file.
const MaxListBytes = 4 << 20

// List is a request list, in order, without duplicates. The package list parses it from
// the text that the user writes.
type List struct {
	Entries []Entry
}

// Entry is one thing of a List; exactly one field is set.
type Entry struct {
	// Node is the id as it was written, with its version suffix (";1.0") if it has one.
	Node NodeID
	// Path is absolute or starts with -root-, -my- or -shared-. The server
	// resolves it to a node.
	Path string
}

// NodeID is the id of a node to zip, with or without the version suffix that the server
// ignores.
type NodeID string

var nodePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(;[0-9]{1,9}(\.[0-9]{1,9})?)?$`)

// Valid reports whether n can be sent to the server and listed.
func (n NodeID) Valid() bool { return nodePattern.MatchString(string(n)) }

// Bare returns n without its version suffix. Two ids of one node are the same without
// it.
func (n NodeID) Bare() NodeID {
	id, _, _ := strings.Cut(string(n), ";")
	return NodeID(id)
}
