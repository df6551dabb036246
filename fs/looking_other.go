//go:build !linux || portable

package fs

import "time"

// browseWindow is how long after listing a directory a process is taken to be
// looking at what it listed rather than using it. It is long: a file manager that
// shows a directory is told from others by nothing else, and must not hang.
const browseWindow = 10 * time.Minute

// Without /proc nobody is known to look around but by what they ask.

func (c callers) shows(int, place) bool { return false }

func (c callers) desktop(int) bool { return false }

// args returns nil: what a process was started with is not known.
func (c callers) args(int) []string { return nil }

func (c callers) program(int) string { return "" }
