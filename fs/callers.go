package fs

import (
	"cmp"
	"sync/atomic"
)

// callers answers what the tree must know about the processes that use it. If the
// system cannot tell (another pid namespace, not Linux), it gives the answer that
// leaves no caller hanging.
//
// No method may follow a link into the mount: the stat would be a request to
// ourselves. Reading links and the text files of /proc makes no request.
type callers struct {
	proc  string // where /proc is; tests use a directory of their own
	mount *mountWatch
}

func newCallers(proc string) callers {
	return callers{proc: cmp.Or(proc, "/proc"), mount: &mountWatch{}}
}

// listFile is a file that lists are written to, as its descriptors show it.
type listFile struct {
	name string
	ino  uint64
}

// mountWatch knows whether a mount is still there.
type mountWatch struct {
	id   string      // the mount's device, such as "0:57"; empty while not known
	gone atomic.Bool // the mount is attached nowhere any more that we can see
}
