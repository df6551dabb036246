package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mounts lists the mounts of this process's namespace, lowest first.
func mounts() ([]mountEntry, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMountinfo(f)
}

// parseMountinfo reads the format of proc_pid_mountinfo(5).
func parseMountinfo(r io.Reader) ([]mountEntry, error) {
	var all []mountEntry
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 2 {
			return nil, fmt.Errorf("mountinfo: unexpected line %q", lines.Text())
		}
		all = append(all, mountEntry{path: unescapeMount(left[4]), fsType: right[0], source: unescapeMount(right[1])})
	}
	return all, lines.Err()
}

// unescapeMount undoes the octal escapes of mountinfo.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unmountPath ends the mount on path without touching it. EBUSY when it is in
// use and not lazy.
func unmountPath(path string, lazy bool) error {
	flags, option := unix.UMOUNT_NOFOLLOW, "-u"
	if lazy {
		flags, option = flags|unix.MNT_DETACH, "-uz"
	}
	err := unix.Unmount(path, flags)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	// An ordinary user needs the set-user-id helper of the fuse3 package.
	tool, err := exec.LookPath("fusermount3")
	if err != nil {
		return fmt.Errorf("%w; install the fuse3 package", err)
	}
	cmd := exec.Command(tool, option, "--", path)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"} // without the password that is in ours
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	// The helper tells its errno in words only.
	if strings.Contains(string(out), "busy") {
		return syscall.EBUSY
	}
	return fmt.Errorf("fusermount3: %s", oneLine(strings.TrimSpace(string(out))))
}
