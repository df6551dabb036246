//go:build !linux

package fs

import (
	"errors"
	"fmt"
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// awaitMount waits until the mount is attached.
func (s *Server) awaitMount() error { return s.fuse.WaitMount() }

// Available returns what this machine lacks to mount, as an ErrFUSE.
func Available(bool) error {
	if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
		return fmt.Errorf("%w: macFUSE is missing: %w; install it from its project's site", ErrFUSE, err)
	}
	return nil
}

func connect(raw fuse.RawFileSystem, mountpoint string, o *fuse.MountOptions) (*fuse.Server, error) {
	return fuse.NewServer(raw, mountpoint, o)
}

func explain(err error) error { return fmt.Errorf("%w: %w", ErrFUSE, err) }

// Unmount removes the mount from its path. It returns ErrBusy while files in it are
// open, and nil if it is no longer there.
func (s *Server) Unmount() error { return s.unmount(false) }

// UnmountLazy removes the mount at once; open files fail from now on.
func (s *Server) UnmountLazy() error { return s.unmount(true) }

func (s *Server) unmount(lazy bool) error {
	s.unmounting.Lock()
	defer s.unmounting.Unlock()
	if s.Gone() {
		return nil
	}
	if err := Detach(s.mountpoint, lazy); err != nil {
		return fmt.Errorf("unmount %s: %w", s.mountpoint, err)
	}
	return nil
}

// Detach removes the mount on path. macOS has no lazy unmount; a forced one is
// closest. It returns ErrBusy if the mount is in use and lazy is not set.
func Detach(path string, lazy bool) error {
	flags := 0
	if lazy {
		flags = unix.MNT_FORCE
	}
	err := unix.Unmount(path, flags)
	if errors.Is(err, unix.EBUSY) {
		return ErrBusy
	}
	return err
}

func (s *Server) tune() {}

// watch has nothing to watch: there are no mount namespaces.
func (s *Server) watch() (stop func()) { return func() {} }

// maxSplice bounds nothing here: go-fuse reads the file itself.
const maxSplice int64 = maxRequest

func closePipes() {}
