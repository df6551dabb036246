package main

import "os"

// checkFUSE says what is missing for mounting.
func checkFUSE() error {
	if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
		return exitf(exitMountpoint, "macFUSE is missing: %w; install it from its project's site", err)
	}
	return nil
}
