package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
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

// unmounted reports whether nothing is mounted on path any more.
func unmounted(path string) bool {
	_, mounted, err := mountAt(path)
	return err == nil && !mounted
}

// alsoOn returns the other paths where the file system of m is mounted.
func alsoOn(m mountEntry) (paths []string) {
	all, err := mounts()
	if err != nil || m.device == "" {
		return nil
	}
	for _, other := range all {
		if other.device == m.device && other.path != m.path {
			paths = append(paths, other.path)
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

// within returns what look returns, or false if it takes longer, as it does at a mount
// that hangs. Then its goroutine is left behind, so look only in a process that is about
// to give up on the path.
func within[T any](limit time.Duration, look func() T) (T, bool) {
	result := make(chan T, 1)
	go func() { result <- look() }()
	select {
	case r := <-result:
		return r, true
	case <-time.After(limit):
		var none T
		return none, false
	}
}

// probe looks at a mount from outside. It returns ENOTCONN if the mount's process is
// gone, and errNoAnswer if it hangs.
func probe(path string, timeout time.Duration) error {
	err, ok := within(timeout, func() error {
		_, err := os.Stat(path)
		if err == nil {
			// The kernel may know the root's attributes without asking. For statfs it asks.
			err = unix.Statfs(path, new(unix.Statfs_t))
		}
		return err
	})
	if !ok {
		return errNoAnswer
	}
	return err
}

// statsFile is the file in the root of a mount that tells figures about it.
const statsFile = ".stats"

// mountTold is what other commands need of what a mount tells in statsFile.
type mountTold struct {
	Account string    `json:"account"` // see accountMark
	Silent  time.Time `json:"noAnswerSince"`
}

// toldBy returns what a mount tells of itself, or nothing if it does not tell within
// probeTimeout.
func toldBy(mountpoint string) mountTold {
	told, _ := within(probeTimeout, func() (told mountTold) {
		text, err := os.ReadFile(filepath.Join(mountpoint, statsFile))
		if err != nil || json.Unmarshal(text, &told) != nil {
			return mountTold{}
		}
		return told
	})
	return told
}

// answeringMounts returns the mountpoints that names mean, or with no names all mounts
// of downloadfs that this user may look into. A name is a path or a profile. Each of
// them answers.
func answeringMounts(cmd *cobra.Command, names []string) ([]string, error) {
	listed, err := ourMounts()
	if err != nil {
		return nil, fmt.Errorf("cannot list mounts: %w", err)
	}
	var found []string
	for _, name := range names {
		path, err := namedMountpoint(cmd, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(listed, func(m listedMount) bool { return m.Mountpoint == path })
		switch {
		case i < 0:
			return nil, notMounted(path)
		case listed[i].State != "mounted":
			return nil, exitf(exitMountpoint, "the mount on %s: %s", path, listed[i].State)
		}
		found = append(found, path)
	}
	if len(names) > 0 {
		return found, nil
	}
	for _, m := range listed {
		if m.State == "mounted" {
			found = append(found, m.Mountpoint)
		}
	}
	if len(found) == 0 {
		return nil, exitf(exitMountpoint, "nothing of yours is mounted")
	}
	return found, nil
}

func notMounted(path string) error {
	return exitf(exitMountpoint, "%s is not a mount of downloadfs; 'downloadfs list' shows the mounts", path)
}

// namedMountpoint returns the mountpoint that name means, absolute and without links: a
// path, or else a profile of the configuration that says where it is mounted. A name
// that is both means what is mounted there.
func namedMountpoint(cmd *cobra.Command, name string) (string, error) {
	path, err := resolveMountpoint(name)
	if err == nil {
		if _, mounted, err := mountAt(path); err != nil || mounted {
			return path, err
		}
	}
	if !strings.ContainsRune(name, '/') {
		stack, configErr := readConfig(cmd)
		if configErr != nil {
			return "", configErr
		}
		if profile, ok := stack.Profile(name); ok {
			m, ok := profile[keyMountpoint]
			if !ok {
				return "", exitf(exitUsage, "the profile %q has no mountpoint; name the directory", name)
			}
			return resolveMountpoint(m.Words[0])
		}
	}
	if err != nil {
		return "", exitf(exitMountpoint, "%w", err)
	}
	return path, nil
}
