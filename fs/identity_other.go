//go:build !linux && !darwin

package fs

func (c callers) tgid(pid int) int { return pid }

func (c callers) name(int) string { return "" }
