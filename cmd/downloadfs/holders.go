package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder is a process that keeps a mount busy.
type holder struct {
	pid  int
	name string
	how  []string // "working directory", "downloads/new open", …
}

func (h holder) String() string {
	how := h.how
	if len(how) > 3 {
		how = append(slices.Clone(how[:3]), fmt.Sprintf("%d more", len(how)-3))
	}
	return fmt.Sprintf("%s (pid %d: %s)", h.name, h.pid, strings.Join(how, ", "))
}

// holders returns the processes that use the mount at path, as far as this user may
// see. It reads only links in /proc. The kernel keeps their texts, so holders never
// waits for the mount. Without /proc it finds none.
func holders(path string) []holder {
	return holdersIn("/proc", path)
}

func holdersIn(proc, path string) []holder {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var all []holder
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		if how := uses(dir, path); len(how) > 0 {
			comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
			all = append(all, holder{pid: pid, name: printable(strings.TrimSpace(string(comm))), how: how})
		}
	}
	return all
}

// uses returns the ways in which the process of a /proc directory uses path.
func uses(dir, path string) []string {
	var how []string
	add := func(what string) {
		if !slices.Contains(how, what) {
			how = append(how, what)
		}
	}
	for link, what := range map[string]string{"cwd": "working directory", "root": "root directory", "exe": "running program"} {
		if _, ok := linkBelow(filepath.Join(dir, link), path); ok {
			add(what)
		}
	}
	fds, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, fd := range fds {
		if rel, ok := linkBelow(filepath.Join(dir, "fd", fd.Name()), path); ok {
			add(printable(rel) + " open")
		}
	}
	maps, _ := os.ReadFile(filepath.Join(dir, "maps"))
	for line := range strings.Lines(string(maps)) {
		// The path is the sixth field, after one slash at the earliest.
		if i := strings.IndexByte(line, '/'); i >= 0 {
			if rel, ok := below(strings.TrimSuffix(line[i:], "\n"), path); ok {
				add(printable(rel) + " mapped")
			}
		}
	}
	for _, rel := range waitingFor(dir, path) {
		add("waiting for " + printable(rel))
	}
	slices.Sort(how)
	return how
}

func linkBelow(link, path string) (string, bool) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", false
	}
	return below(target, path)
}

// below returns name relative to the directory path, if it is path or in it.
func below(name, path string) (string, bool) {
	name = strings.TrimSuffix(name, " (deleted)")
	if name == path {
		return "top directory", true
	}
	return strings.CutPrefix(name, strings.TrimSuffix(path, "/")+"/")
}

// printable replaces control characters. Through the name of a process or a file,
// other users could otherwise send them to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// holdersText lists the processes that keep the mount busy, for the end of a
// sentence.
func holdersText(path string) string {
	all := holders(path)
	if len(all) == 0 {
		return "held by no process that this user may see"
	}
	texts := make([]string, 0, len(all))
	for _, h := range all {
		texts = append(texts, h.String())
	}
	return "held by " + strings.Join(texts, ", ")
}
