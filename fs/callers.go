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

// tgid returns the process of a caller, or 0 if it cannot be seen. On Linux a caller is
// a thread, and its process is the thread group.
func (c callers) tgid(pid int) int {
	_, tgid := c.identity(pid)
	return tgid
}

// name returns the name of the program that a caller runs, or "" if it cannot be seen.
// Linux cuts it off after 15 bytes, macOS after 16.
func (c callers) name(pid int) string {
	name, _ := c.identity(pid)
	return name
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
