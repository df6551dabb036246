package fs

import "golang.org/x/sys/unix"

// tgid returns the process of a caller. macFUSE reports it directly.
func (c callers) tgid(pid int) int { return pid }

// name returns the name of the program that a process runs, cut off after 16 bytes,
// or "" if it cannot be seen.
func (c callers) name(pid int) string {
	if pid == 0 {
		return ""
	}
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Proc.P_comm[:])
}
