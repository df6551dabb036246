package fs

import (
	"slices"
	"strconv"
	"strings"
)

// procStatus is what the tree needs from /proc/PID/status; see proc(5).
type procStatus struct {
	name   string // of the program, cut off after 15 bytes
	tgid   int
	fdSize int // 0 if the task has let go of its descriptors: it is exiting
	// pending are the signals waiting for the thread or its thread group.
	pending signalSet
	blocked signalSet
	ignored signalSet
	caught  signalSet
}

// signalSet holds signal n in bit n-1.
type signalSet uint64

// parseProcStatus reads the text of /proc/PID/status. It returns false if there is no
// Tgid.
func parseProcStatus(text string) (procStatus, bool) {
	var p procStatus
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			p.name = value
		case "Tgid":
			p.tgid, _ = strconv.Atoi(value)
		case "FDSize":
			p.fdSize, _ = strconv.Atoi(value)
		case "SigPnd", "ShdPnd":
			p.pending |= parseSignalSet(value)
		case "SigBlk":
			p.blocked = parseSignalSet(value)
		case "SigIgn":
			p.ignored = parseSignalSet(value)
		case "SigCgt":
			p.caught = parseSignalSet(value)
		}
	}
	return p, p.tgid > 0
}

func parseSignalSet(hex string) signalSet {
	n, _ := strconv.ParseUint(hex, 16, 64)
	return signalSet(n)
}

// exitSignal returns the signal that a task died of, from the text of
// /proc/PID/stat, or 0. The kernel sets the last field, exit_code, before it
// closes a dying task's descriptors.
func exitSignal(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	// The field after the name is the third of proc(5)'s list; exit_code is the 52nd.
	const exitCode = 52 - 3
	if len(fields) <= exitCode {
		return 0
	}
	code, _ := strconv.Atoi(fields[exitCode])
	return code & 0x7f
}

// fdinfo returns a value in the text of /proc/PID/fdinfo/N, or "" if it is not there.
// The inode number is not there before Linux 5.14.
func fdinfo(text, key string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mountDevices returns the device, such as "0:57", of each mount, by the mount's id.
// It reads the text of /proc/PID/mountinfo, which may be cut off: a library would take
// none of it then.
func mountDevices(mountinfo string) map[string]string {
	devices := make(map[string]string)
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 2 {
			devices[fields[0]] = fields[2]
		}
	}
	return devices
}

// watchesAny reports whether an inotify or fanotify descriptor watches one of the
// inodes of a device, such as "0:57". text is its /proc/PID/fdinfo/N.
func watchesAny(text, device string, inodes []uint64) bool {
	var w watchers
	w.add(text, kernelDevice(device))
	return slices.ContainsFunc(inodes, w.watches)
}
