package cache

import "golang.org/x/sys/unix"

// mountFS mounts a tmpfs; it needs the right to.
func mountFS(dir, options string) error {
	flags := uintptr(0)
	if options == "ro" {
		flags, options = unix.MS_RDONLY, ""
	}
	return unix.Mount("tmpfs", dir, "tmpfs", flags, options)
}
