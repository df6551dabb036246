//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// watched returns what is watched in this mount by the processes that this one sees:
// root sees all, others see their own.
func (c callers) watched() (w watchers) {
	device := kernelDevice(c.mount.id)
	processes, err := os.ReadDir(c.proc)
	if err != nil || device == "" {
		return watchers{}
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(c.proc, p.Name())
		fds, err := readNames(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		var one watchers
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(dir, "fd", fd))
			if err == nil && (strings.HasPrefix(link, "anon_inode:inotify") || strings.HasPrefix(link, "anon_inode:[fanotify")) {
				one.add(readSome(filepath.Join(dir, "fdinfo", fd)), device)
			}
		}
		w.merge(one, !one.none() && c.desktop(pid))
	}
	return w
}
