//go:build !portable

package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData blocks until f's bytes are on the disk.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// punch frees the disk space of [off, off+n) without changing f's size.
func punch(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// leavePageCache has the page cache give up f's bytes [from, to), but none that are not on the
// disk yet. It is of no consequence if it cannot.
func leavePageCache(f *os.File, from, to int64) {
	_ = unix.Fadvise(int(f.Fd()), from, to-from, unix.FADV_DONTNEED)
}

// canDirect says that files can be written past the page cache.
const canDirect = true

// openDirect opens an existing data file for writing past the page cache.
func (d *disk) openDirect(name string) (*os.File, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|unix.O_DIRECT, 0)
}
