package main

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// checkFUSE says what is missing for mounting as this user.
func checkFUSE() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return exitf(exitMountpoint, "no FUSE here: %w; load the module (modprobe fuse), or give the container --device /dev/fuse", err)
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return exitf(exitMountpoint, "this user may not open /dev/fuse: %w; as root, run: chmod 666 /dev/fuse", err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return exitf(exitMountpoint, "fusermount3 is missing, which mounts for ordinary users; install the fuse3 package")
	}
	return nil
}
