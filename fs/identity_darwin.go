package fs

import "golang.org/x/sys/unix"

// identity returns a caller's program and process. macFUSE reports the process itself.
func (c callers) identity(pid int) (name string, tgid int) {
	if pid == 0 {
		return "", 0
	}
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", pid
	}
	return unix.ByteSliceToString(info.Proc.P_comm[:]), pid
}
