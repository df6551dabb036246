package download

// MaxListBytes is how long a list written to the control file may be.
const MaxListBytes = 4 << 20

// List is a parsed list of what to zip, in order, without duplicates. Each
// entry is either a node id or a repository path that still has to be resolved.
type List struct {
	Entries []Entry
}

// Entry is one line of a List; exactly one field is set.
type Entry struct {
	Node NodeID
	Path string
}

// ListParser reads a list as it is written, piece by piece. It is not safe for
// concurrent use.
type ListParser struct{}

// Write adds p. It fails with ErrInvalid as soon as an entry cannot be right,
// naming the line and the entry, and with ErrListTooLong beyond MaxListBytes. A
// parser that failed stays failed.
func (lp *ListParser) Write(p []byte) (int, error) { panic("not implemented") }

// Finish ends the list. An empty list is no error.
func (lp *ListParser) Finish() (List, error) { panic("not implemented") }
