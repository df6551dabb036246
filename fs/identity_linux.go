//go:build portable

package fs

import (
	"os"
	"path/filepath"
	"strconv"
)

// identity is what macOS would report about a caller, and nothing more. Linux reports
// a thread.
func (c callers) identity(pid int) (name string, tgid int) {
	if pid == 0 {
		return "", 0
	}
	text, err := os.ReadFile(filepath.Join(c.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return "", pid
	}
	p, _ := parseProcStatus(string(text))
	return p.name, p.tgid
}
