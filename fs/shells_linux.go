//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"strconv"
)

// shell reports whether the thread runs a command interpreter. The thread's name does
// not tell: an interpreter that runs a script has the script's name.
func (c callers) shell(pid int) bool {
	if pid == 0 {
		return false
	}
	exe, err := os.Readlink(filepath.Join(c.proc, strconv.Itoa(pid), "exe"))
	if err != nil {
		exe = c.name(pid)
	}
	return isShell(filepath.Base(exe))
}
