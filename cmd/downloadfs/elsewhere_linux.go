package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// elsewhere lists who else has the file system of a device mounted: other paths here,
// and other mount namespaces, each named by one of its processes. A container that
// was started while the file system was mounted has such a namespace.
func elsewhere(proc, device string) (texts []string) {
	entries, err := os.ReadDir(proc)
	if err != nil || device == "" {
		return nil
	}
	own, _ := os.ReadFile(filepath.Join(proc, "self", "mountinfo"))
	for _, path := range pathsOn(own, device) {
		texts = append(texts, "it is also on "+printable(path))
	}
	seen := [][]byte{own} // the ids of mounts differ from one namespace to the next
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
		if err != nil || slices.ContainsFunc(seen, func(b []byte) bool { return bytes.Equal(b, text) }) {
			continue
		}
		seen = append(seen, text)
		for _, path := range pathsOn(text, device) {
			comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
			texts = append(texts, fmt.Sprintf("the mount namespace of %s (pid %s) has it on %s",
				printable(strings.TrimSpace(string(comm))), e.Name(), printable(path)))
		}
	}
	return texts
}

// elsewhereText returns elsewhere's list as the end of a sentence, or "" if it is
// empty.
func elsewhereText(device string) string { return strings.Join(elsewhere("/proc", device), ", ") }

// pathsOn returns the paths where the text of a mountinfo says that a device is
// mounted.
func pathsOn(text []byte, device string) (paths []string) {
	list, err := mountinfo.GetMountsFromReader(bytes.NewReader(text), nil)
	if err != nil {
		return nil
	}
	for _, m := range mountEntries(list) {
		if m.device == device {
			paths = append(paths, m.path)
		}
	}
	return paths
}
