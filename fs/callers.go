package fs

import (
	"cmp"
	"sync/atomic"
)

// callers answers what the tree must know of the processes that use it. Where
// the system cannot tell (another pid namespace, not Linux), the answers are
// those that leave nobody hanging.
//
// Nothing here may follow a link into the mount: the stat would be a request to
// ourselves. Reading links and the text files of /proc makes none.
type callers struct {
	proc  string // where /proc is; a test's own directory
	mount *mountWatch
}

func newCallers(proc string) callers {
	return callers{proc: cmp.Or(proc, "/proc"), mount: &mountWatch{}}
}

// listFile is a file that lists are written to, as descriptors of it are known.
type listFile struct {
	name string
	ino  uint64
}

// mountWatch says whether a mount is still there.
type mountWatch struct {
	id   string      // "0:57", the mount's device; empty while not known
	gone atomic.Bool // it is attached nowhere any more that we see
}
