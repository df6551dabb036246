//go:build !portable

package fs

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a process's descriptors and memory say of whether it browses.

// browseWindow is how long after listing a directory a process counts as browsing
// rather than touching.
const browseWindow = 2 * time.Second

// shows reports whether a process watches a place in this mount or holds its
// directory open.
func (c callers) shows(tgid int, p place) bool {
	if tgid == 0 || c.mount.id == "" {
		return false
	}
	dir := filepath.Join(c.proc, strconv.Itoa(tgid))
	fds, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err != nil {
			continue
		}
		info := func() string { return readSome(filepath.Join(dir, "fdinfo", fd.Name())) }
		switch {
		case strings.HasPrefix(link, "anon_inode:inotify"), strings.HasPrefix(link, "anon_inode:[fanotify"):
			if watchesAny(info(), c.mount.id, p.watched) {
				return true
			}
		case strings.HasPrefix(link, "/"):
			text := info()
			if fdinfo(text, "ino") != strconv.FormatUint(p.directory, 10) {
				continue
			}
			devices := mountDevices(readSome(filepath.Join(dir, "mountinfo")))
			if devices[fdinfo(text, "mnt_id")] == c.mount.id {
				return true
			}
		}
	}
	return false
}

// readSome returns the text of a file of /proc, or the start of one that its process
// has made very long.
func readSome(path string) string {
	const most = 4 << 20
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, most))
	return string(text)
}

// desktopLibraries are what the desktops' file managers are built on, and programs
// that access files in the same way.
var desktopLibraries = []string{"/libgio-2.0.so", "/libKF5KIOCore.so", "/libKF6KIOCore.so"}

// desktop reports whether a process has loaded a file library of the desktops.
func (c callers) desktop(tgid int) bool {
	if tgid == 0 {
		return false
	}
	f, err := os.Open(filepath.Join(c.proc, strconv.Itoa(tgid), "maps"))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if slices.ContainsFunc(desktopLibraries, func(lib string) bool { return strings.Contains(lines.Text(), lib) }) {
			return true
		}
	}
	return false
}

// args returns the arguments that a process was started with, its name first.
func (c callers) args(pid int) []string {
	text := readSome(filepath.Join(c.proc, strconv.Itoa(pid), "cmdline"))
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
}

// program returns the name of the file that a process runs, or "".
func (c callers) program(pid int) string {
	link, err := os.Readlink(filepath.Join(c.proc, strconv.Itoa(pid), "exe"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}
