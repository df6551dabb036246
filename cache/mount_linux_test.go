package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// mountFS mounts a tmpfs; it needs the right to.
func mountFS(dir, options string) error {
	flags := uintptr(0)
	if options == "ro" {
		flags, options = unix.MS_RDONLY, ""
	}
	return unix.Mount("tmpfs", dir, "tmpfs", flags, options)
}

// forgetPages drops the clean pages that the kernel keeps of f.
func forgetPages(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
