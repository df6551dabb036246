package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hanwen/go-fuse/v2/splice"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"downloadfs/download"
)

// Available returns what this machine or this user lacks to mount, as an ErrFUSE.
func Available(allowOther bool) error {
	switch err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: /dev/fuse is missing; load the module (modprobe fuse), or give the container --device /dev/fuse", ErrFUSE)
	case err != nil:
		return fmt.Errorf("%w: open /dev/fuse: %w; as root, run: chmod 666 /dev/fuse", ErrFUSE, err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermountPath(); err != nil {
		return err
	}
	if allowOther {
		return othersAllowed("/etc/fuse.conf")
	}
	return nil
}

// othersAllowed returns an ErrFUSE unless the configuration of fusermount3 lets ordinary
// users let others in.
func othersAllowed(conf string) error {
	if text, err := os.ReadFile(conf); err == nil {
		for line := range strings.Lines(string(text)) {
			if strings.TrimSpace(line) == "user_allow_other" {
				return nil
			}
		}
	}
	return download.Because(ErrFUSE, "--allow-other needs the line user_allow_other in %s; as root, run: echo user_allow_other >> %s", conf, conf)
}

// connect mounts on mountpoint and returns the server of the connection. Root mounts
// directly, others with fusermount3.
func connect(raw fuse.RawFileSystem, mountpoint string, o *fuse.MountOptions) (*fuse.Server, error) {
	if isPassed(mountpoint) {
		return fuse.NewServer(raw, mountpoint, o)
	}
	if o.DirectMountStrict = os.Geteuid() == 0; o.DirectMountStrict {
		server, err := fuse.NewServer(raw, mountpoint, o)
		keepConnection()
		return server, err
	}
	fd, err := fusermountMount(mountpoint, o)
	if err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", fd), o)
	if err != nil {
		_ = Detach(mountpoint, true)
	}
	return server, err
}

// keepConnection keeps the connection from processes that this one starts. go-fuse opens
// it so that they get it. A mount whose process was killed is dead only when all have
// ended that have its connection.
func keepConnection() {
	const dir = "/proc/self/fd"
	fds, _ := readNames(dir)
	for _, name := range fds {
		if link, err := os.Readlink(filepath.Join(dir, name)); err == nil && link == "/dev/fuse" {
			if fd, err := strconv.Atoi(name); err == nil {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// readNames returns the names in a directory, in no order.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// awaitMount has nothing to wait for: the file system is attached and the kernel has
// been answered before the server exists. go-fuse's WaitMount also opens a file in
// the mount, for programs that use their own mount. This program never does. A kill -9
// while that file is open would leave a process that nobody can end: its exit closes
// the file and waits for a FLUSH that it can no longer answer, while it still holds
// /dev/fuse.
func (s *Server) awaitMount() error { return nil }

// explain adds what to do about an error from the kernel or fusermount3.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w; mounting needs CAP_SYS_ADMIN, which a container has to be given", ErrFUSE, err)
	}
	return fmt.Errorf("%w: %w", ErrFUSE, err)
}

// devicesOn returns the devices, such as "0:57", of what is mounted on path, the
// topmost last.
func devicesOn(path string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	devices := make([]string, len(mounts))
	for i, m := range mounts {
		devices[i] = fmt.Sprintf("%d:%d", m.Major, m.Minor)
	}
	return devices, err
}

// Unmount removes the mount from its path. It returns ErrBusy while files in it are
// open, and nil if it is no longer there. If a bind mount or another mount namespace
// has the file system too, it is still served there, and Wait does not return.
func (s *Server) Unmount() error {
	s.unmounting.Lock()
	defer s.unmounting.Unlock()
	if s.Gone() {
		return nil
	}
	s.fs.announce.close() // or it could be in the mount just now
	there, err := s.attached()
	if err == nil && there {
		err = Detach(s.mountpoint, false)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", s.mountpoint, err)
	}
	return nil
}

// UnmountLazy detaches the mount at once and ends every call that is still in it,
// wherever it is mounted. Open files fail from now on.
func (s *Server) UnmountLazy() error {
	s.unmounting.Lock()
	defer s.unmounting.Unlock()
	if s.Gone() {
		return nil
	}
	s.fs.callers.mount.gone.Store(true)
	s.fs.announce.close()
	s.abort()
	there, err := s.attached()
	if err == nil && there {
		err = s.detachNow()
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", s.mountpoint, err)
	}
	return nil
}

// detachNow detaches the mount. If root does it, the connection breaks too, even
// without the control file system: MNT_FORCE breaks it before it finds out whether
// the mount is busy.
func (s *Server) detachNow() error {
	if os.Geteuid() == 0 && unix.Unmount(s.mountpoint, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW) == nil {
		return nil
	}
	return Detach(s.mountpoint, true)
}

// attached reports whether the mount is on its path. It is not if it was unmounted
// from outside, even if another mount took its place. If another mount covers it,
// attached returns ErrCovered.
func (s *Server) attached() (bool, error) {
	if isPassed(s.mountpoint) {
		return false, nil
	}
	id := s.fs.callers.mount.id
	devices, err := devicesOn(s.mountpoint)
	switch {
	case err != nil, id == "":
		return true, nil
	case !slices.Contains(devices, id):
		return false, nil
	case devices[len(devices)-1] != id:
		return false, ErrCovered
	}
	return true, nil
}

// Detach removes the mount on path without touching it. It does not matter which
// process serves the mount, or whether one still does. It returns ErrBusy if the
// mount is in use and lazy is not set.
func Detach(path string, lazy bool) error {
	flags, options := unix.UMOUNT_NOFOLLOW, []string{"-u"}
	if lazy {
		flags, options = flags|unix.MNT_DETACH, []string{"-u", "-z"}
	}
	err := unix.Unmount(path, flags)
	if errors.Is(err, unix.EPERM) {
		err = fusermount(append(options, "--", path)...)
	}
	if errors.Is(err, unix.EBUSY) {
		return ErrBusy
	}
	return err
}

// abort breaks the connection to the kernel: every process that waits in the mount
// gets an error. If the control file system is not mounted, they get it when this
// process ends.
func (s *Server) abort() {
	_, minor, ok := strings.Cut(s.fs.callers.mount.id, ":")
	if !ok {
		return
	}
	if err := os.WriteFile("/sys/fs/fuse/connections/"+minor+"/abort", []byte("1"), 0); err != nil {
		s.fs.log.Debug("connection not aborted", "op", "unmount", "err", err)
	}
}

// tune notes which device the mount is and lets the kernel read further ahead. FUSE
// offers 128 KiB; only root can raise it.
func (s *Server) tune() {
	devices, err := devicesOn(s.mountpoint)
	if err != nil || len(devices) == 0 {
		return
	}
	device := devices[len(devices)-1]
	s.fs.callers.mount.id = device
	ahead := fmt.Appendf(nil, "%d", readAhead>>10)
	if err := os.WriteFile("/sys/class/bdi/"+device+"/read_ahead_kb", ahead, 0); err != nil {
		s.fs.log.Debug("read-ahead left as it is", "op", "mount", "err", err)
	}
}

// maxSplice is the longest reply that is spliced. A reply must fit into a pipe with
// its header and a page to spare. A pipe of the ordinary size limit is only as long
// as the longest READ, so that READ is not spliced.
var maxSplice = int64(splice.MaxPipeSize() - 2*os.Getpagesize())

// closePipes closes the pipes that replies were spliced through. go-fuse keeps them
// for later replies.
func closePipes() { splice.ClearSplicePool() }
