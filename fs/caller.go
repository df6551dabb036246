package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// caller is who made a request: a process or, where that cannot be seen, merely
// a user. The kernel gives 0 for a process of another pid namespace than that of
// whoever mounted, and a /proc mounted with hidepid= shows no processes of other
// users. Two callers are equal if nothing tells them apart.
type caller struct {
	tgid int    // the process, 0 when it cannot be seen
	uid  uint32 // the user, if the process cannot be seen
}

// seen is the caller that is a process, and hidden one of whom only the user is
// known.
func seen(tgid int) caller     { return caller{tgid: tgid} }
func hidden(uid uint32) caller { return caller{uid: uid} }

// caller returns who made the request.
func (f *filesystem) caller(ctx context.Context) caller {
	if tgid := f.callers.tgid(callerPID(ctx)); tgid != 0 {
		return seen(tgid)
	}
	if c, ok := fuse.FromContext(ctx); ok {
		return hidden(c.Uid)
	}
	return hidden(f.owner.uid)
}

// callerPID returns the thread that made the request, or 0 when it is not
// visible from here (another pid namespace, or the kernel itself).
func callerPID(ctx context.Context) int {
	if c, ok := fuse.FromContext(ctx); ok {
		return int(c.Pid)
	}
	return 0
}
