package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fsType is the type that the kernel lists our mounts with.
const fsType = "fuse.downloadfs"

// mountEntry is one mount as the kernel lists it.
type mountEntry struct {
	path   string
	fsType string
	source string
	device string // the file system's, the same wherever it is mounted; "" on macOS
}

func (m mountEntry) ours() bool {
	// macFUSE lists every file system with the name of its driver.
	return m.fsType == fsType || runtime.GOOS == "darwin" && m.fsType == "macfuse"
}

// mountAt returns the topmost mount on path. It does not touch the mount.
func mountAt(path string) (mountEntry, bool, error) {
	all, err := mounts()
	if err != nil {
		return mountEntry{}, false, err
	}
	for _, m := range slices.Backward(all) {
		if m.path == path {
			return m, true, nil
		}
	}
	return mountEntry{}, false, nil
}

// alsoOn returns the paths where the file system of a device is mounted.
func alsoOn(device string) (paths []string) {
	all, err := mounts()
	if err != nil || device == "" {
		return nil
	}
	for _, m := range all {
		if m.device == device {
			paths = append(paths, m.path)
		}
	}
	return paths
}

// resolveMountpoint makes path absolute and free of symbolic links. The last element
// may be a mount whose process is gone. Every call on such a mount fails.
func resolveMountpoint(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range 40 { // as many symbolic links as the kernel follows
		parent, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(parent, filepath.Base(path))
		if _, mounted, err := mountAt(path); err != nil || mounted {
			return path, err
		}
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		path = target
	}
	return "", &os.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
}

// errNoAnswer means that a mount's process is there but did not answer a stat in
// time.
var errNoAnswer = errors.New("no answer")

// probe looks at a mount from outside. It returns ENOTCONN if the mount's process is
// gone, and errNoAnswer if it hangs. In the second case a goroutine is left behind,
// so use probe only in a process that is about to give up on the path.
func probe(path string, timeout time.Duration) error {
	result := make(chan error, 1)
	go func() {
		_, err := os.Stat(path)
		if err == nil {
			// The kernel may know the root's attributes without asking. For statfs it asks.
			err = unix.Statfs(path, new(unix.Statfs_t))
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-time.After(timeout):
		return errNoAnswer
	}
}
