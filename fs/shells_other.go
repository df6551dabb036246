//go:build !linux || portable

package fs

// shell reports whether the process runs a command interpreter.
func (c callers) shell(pid int) bool { return isShell(c.name(pid)) }
