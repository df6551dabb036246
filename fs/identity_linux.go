//go:build portable

package fs

import (
	"os"
	"path/filepath"
	"strconv"
)

// tgid returns the process of a caller. Linux reports a thread.
func (c callers) tgid(pid int) int { return c.identity(pid).tgid }

// name returns the name of the program that a process runs, or "" if it cannot be
// seen.
func (c callers) name(pid int) string { return c.identity(pid).name }

// identity is what macOS would report about a caller, and nothing more.
func (c callers) identity(pid int) procStatus {
	if pid == 0 {
		return procStatus{}
	}
	text, err := os.ReadFile(filepath.Join(c.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return procStatus{tgid: pid}
	}
	p, _ := parseProcStatus(string(text))
	return procStatus{tgid: p.tgid, name: p.name}
}
