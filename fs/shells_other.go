//go:build !linux

package fs

func (c callers) shell(int) bool { return false }
