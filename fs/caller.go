package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// caller is the process that made a request or, if that cannot be seen, only its
// user. The kernel gives 0 for a process in another pid namespace than the mounting
// process, and a /proc mounted with hidepid= hides the processes of other users. Two
// callers are equal if nothing tells them apart.
type caller struct {
	tgid int    // the process; 0 if it cannot be seen
	uid  uint32 // the user, if the process cannot be seen
}

// seen returns a caller that is a process. hidden returns one that is known only by
// its user.
func seen(tgid int) caller     { return caller{tgid: tgid} }
func hidden(uid uint32) caller { return caller{uid: uid} }

// caller returns the caller that made the request.
func (f *filesystem) caller(ctx context.Context) caller {
	if tgid := f.callers.tgid(callerPID(ctx)); tgid != 0 {
		return seen(tgid)
	}
	if c, ok := fuse.FromContext(ctx); ok {
		return hidden(c.Uid)
	}
	return hidden(f.owner.uid)
}

// callerPID returns the thread that made the request, or 0 if it is not visible from
// here (another pid namespace, or the kernel itself).
func callerPID(ctx context.Context) int {
	if c, ok := fuse.FromContext(ctx); ok {
		return int(c.Pid)
	}
	return 0
}
