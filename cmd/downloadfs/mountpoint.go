package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"downloadfs/fs"
)

// probeTimeout is how long a mount that is in the way may take to answer.
const probeTimeout = 2 * time.Second

// makeMountpoint makes the mountpoint of a profile if it is missing. unmake removes the
// directories that it has made, unless something is in them.
func makeMountpoint(path string) (unmake func(), err error) {
	var made []string // the lowest first
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, iofs.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	unmake = func() {
		for _, dir := range made {
			_ = os.Remove(dir)
		}
	}
	// A mount whose process is gone is in the way of every call.
	if err := os.MkdirAll(path, 0o700); err != nil && !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, iofs.ErrExist) {
		return unmake, exitf(exitMountpoint, "cannot make the mountpoint of the profile: %w", err)
	}
	return unmake, nil
}

// prepareMountpoint returns the absolute path of a directory that can be mounted on,
// or an error that says why not. It replaces a downloadfs mount whose process is
// gone. Any other mount stays.
func prepareMountpoint(name string, log *slog.Logger) (string, error) {
	if number, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		return name, checkPassed(name, number)
	}
	path, err := resolveMountpoint(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return "", exitf(exitMountpoint, "mountpoint %s does not exist; run: mkdir -p %s", name, name)
	}
	if err != nil {
		return "", exitf(exitMountpoint, "cannot use the mountpoint: %w", err)
	}
	if err := clearMount(path, log); err != nil {
		return "", err
	}
	if err := checkDirectory(path); err != nil {
		return "", err
	}
	return path, nil
}

// clearMount removes dead downloadfs mounts from path and rejects any other mount but
// that of an automounter, which is mounted over.
func clearMount(path string, log *slog.Logger) error {
	for {
		m, mounted, err := mountAt(path)
		if err != nil {
			return exitf(exitMountpoint, "cannot list mounts: %w", err)
		}
		if !mounted {
			return nil
		}
		if m.fsType == "autofs" { // systemd's x-systemd.automount, which waits for this mount
			return nil
		}
		if !m.ours() {
			return exitf(exitMountpoint, "%s is a mount of %s (%s); unmount it first, or choose another directory", path, m.source, m.fsType)
		}
		if err := probe(path, probeTimeout); !errors.Is(err, syscall.ENOTCONN) {
			return exitf(exitMountpoint, "%w", &mountedError{path, m.source})
		}
		if err := fs.Detach(path, true); err != nil {
			if unmounted(path) {
				continue // somebody else was faster
			}
			return exitf(exitMountpoint, "cannot remove the mount that a killed process left on %s: %w", path, err)
		}
		log.Info("replaced the mount that a killed process left", "op", "mount", "mountpoint", path)
	}
}

// mountedError says that a mount of downloadfs is in the way, whose process is there.
type mountedError struct{ path, source string }

func (e *mountedError) Error() string {
	return fmt.Sprintf("%s is mounted already (%s); run: downloadfs unmount %s", e.path, e.source, e.path)
}

// isMountOf reports whether the mount on path says that it is of this user on this
// server.
func isMountOf(path string, server *url.URL, username string) bool {
	return toldBy(path).Account == accountMark(server, username)
}

// checkPassed checks that a descriptor is one of /dev/fuse. The program that started
// this process has opened and mounted it.
func checkPassed(name, number string) error {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return exitf(exitUsage, "%s is not the name of a descriptor that can be passed", name)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return exitf(exitMountpoint, "descriptor %d is not open: %w", fd, err)
	}
	if runtime.GOOS == "linux" && (st.Mode&unix.S_IFMT != unix.S_IFCHR || uint64(st.Rdev) != unix.Mkdev(10, 229)) {
		return exitf(exitMountpoint, "descriptor %d is not one of /dev/fuse", fd)
	}
	unix.CloseOnExec(fd)
	return nil
}

func checkDirectory(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return exitf(exitMountpoint, "mountpoint %s does not exist; run: mkdir -p %s", path, path)
	}
	if err != nil {
		return exitf(exitMountpoint, "cannot use the mountpoint: %w", err)
	}
	if !info.IsDir() {
		return exitf(exitMountpoint, "mountpoint %s is not a directory", path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return exitf(exitMountpoint, "cannot use the mountpoint: %w", err)
	}
	if len(entries) > 0 {
		return exitf(exitMountpoint, "mountpoint %s is not empty (it holds %q); choose an empty directory", path, entries[0].Name())
	}
	// fusermount3 requires this of an ordinary user. The message here is clearer.
	if err := unix.Access(path, unix.W_OK); err != nil {
		return exitf(exitMountpoint, "mountpoint %s is not writable for this user: %w", path, err)
	}
	return nil
}
