//go:build !linux && !darwin

package fs

func (c callers) identity(pid int) (name string, tgid int) { return "", pid }
