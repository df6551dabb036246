package cache

import (
	"os"
	"unsafe"

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

// residentBytes returns how much of f's first n bytes is in the page cache.
func residentBytes(f *os.File, n int64) (int64, error) {
	p, err := unix.Mmap(int(f.Fd()), 0, int(n), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(p)
	page := os.Getpagesize()
	pages := make([]byte, (len(p)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		return 0, errno
	}
	var sum int64
	for _, in := range pages {
		sum += int64(in&1) * int64(page)
	}
	return sum, nil
}
