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

// Available says what this machine lacks to mount, as an ErrFUSE.
func Available(bool) error {
	if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
		return fmt.Errorf("%w: macFUSE is missing: %w; install it from its project's site", ErrFUSE, err)
	}
	return nil
}

func direct(*fuse.MountOptions) {}

func explain(err error) error { return fmt.Errorf("%w: %w", ErrFUSE, err) }

// Unmount removes the mount and waits until all requests are answered; ErrBusy
// while files in it are open. It returns nil when the mount is gone already.
func (s *Server) Unmount() error {
	err := s.unmount(0)
	if err == nil {
		<-s.done
	}
	return err
}

// UnmountLazy removes the mount at once; open files fail from now on.
func (s *Server) UnmountLazy() error { return s.unmount(unix.MNT_FORCE) }

func (s *Server) unmount(flags int) error {
	s.unmounting.Lock()
	defer s.unmounting.Unlock()
	if s.gone() {
		return nil
	}
	err := unix.Unmount(s.mountpoint, flags)
	if errors.Is(err, unix.EBUSY) {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", s.mountpoint, err)
	}
	return nil
}

func (s *Server) tune() {}

// maxSplice bounds nothing here: go-fuse reads the file itself.
const maxSplice int64 = maxRequest

func closePipes() {}
