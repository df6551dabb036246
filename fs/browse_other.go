//go:build !linux || portable

package fs

import "time"

// browseWindow is how long after listing a directory a process counts as browsing
// rather than touching. It is long because nothing else identifies a file manager
// that shows a directory, and the file manager must not hang.
const browseWindow = 10 * time.Minute

// Without /proc, browsing shows only in what a process asks.

func (c callers) shows(int, place) bool { return false }

func (c callers) desktop(int) bool { return false }

// args returns nil, because a process's arguments are not known.
func (c callers) args(int) []string { return nil }

func (c callers) program(int) string { return "" }
