package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"downloadfs/download"
)

// Lock keeps other processes from the record at path until release is called. It
// returns download.ErrLocked if another try has the record. A record without a file
// needs no lock.
func Lock(path string) (release func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for path += ".lock"; ; {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = download.ErrLocked
			}
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		if same(file, path) {
			return func() {
				_ = os.Remove(path) // while it is locked, so that it is this one
				_ = file.Close()
			}, nil
		}
		_ = file.Close() // its holder has removed it meanwhile
	}
}

// same reports whether path is still the name of file.
func same(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}
