//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// status reads what /proc says about a task.
func (c callers) status(pid int) (procStatus, bool) {
	if pid == 0 {
		return procStatus{}, false
	}
	text, err := os.ReadFile(filepath.Join(c.proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return procStatus{}, false
	}
	return parseProcStatus(string(text))
}

// identity returns the program and the process of a thread, or nothing if it cannot be
// seen.
func (c callers) identity(pid int) (name string, tgid int) {
	p, _ := c.status(pid)
	return p.name, p.tgid
}

// disturbed reports whether the thread should stop waiting: a signal is pending that
// it handles or that ends it, the thread cannot be seen, or the mount is gone.
func (c callers) disturbed(pid int) bool {
	p, ok := c.status(pid)
	return !ok || p.disturbed() || c.mount.gone.Load()
}

// exiting reports whether the thread is ending and has let go of its descriptors. No
// signal reaches it any more.
func (c callers) exiting(pid int) bool {
	p, ok := c.status(pid)
	return ok && p.fdSize == 0
}

// killed reports whether the thread is dying of a signal: its descriptors are being
// closed for it.
func (c callers) killed(pid int) bool {
	if !c.exiting(pid) {
		return false
	}
	text, err := os.ReadFile(filepath.Join(c.proc, strconv.Itoa(pid), "stat"))
	return err == nil && exitSignal(string(text)) != 0
}

// closed reports whether a process no longer holds this handle's descriptor of a
// list's file. others is how many other handles the process has on the file. /proc
// does not tell two descriptions of one file apart, so closed counts: while the
// process has more descriptors than others, one of them is this handle's.
func (c callers) closed(file listFile, opener, _, others int) bool {
	held, ok := c.listFiles(opener, file)
	return ok && held <= others
}

// sees reports whether a process and its descriptors can be seen.
func (c callers) sees(tgid int) bool {
	_, ok := c.listFiles(tgid, listFile{})
	return ok
}

// listFiles returns how many descriptors of the process refer to a list's file, and
// false if that cannot be seen. A closed descriptor is gone from there before its
// FLUSH is sent.
func (c callers) listFiles(tgid int, file listFile) (int, bool) {
	if tgid == 0 {
		return 0, false
	}
	tasks, err := os.ReadDir(filepath.Join(c.proc, strconv.Itoa(tgid), "task"))
	if err != nil {
		return 0, os.IsNotExist(err)
	}
	// The threads of a process share their descriptors. But those that are exiting
	// have let go of them, and the first thread may be one of those.
	for _, task := range tasks {
		pid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if p, ok := c.status(pid); ok && p.fdSize > 0 {
			return c.count(pid, file)
		}
	}
	return 0, true
}

// count counts a task's descriptors of a list's file. It compares the inode number,
// which kernels since 5.14 tell, and the name, because other file systems have small
// inode numbers too.
func (c callers) count(pid int, file listFile) (int, bool) {
	dir := filepath.Join(c.proc, strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return 0, os.IsNotExist(err)
	}
	var ids []string // of the mounts that the descriptors are in
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		switch {
		case os.IsNotExist(err):
			continue
		case err != nil:
			// It is dying, and has given up its memory but not its descriptors yet.
			return 0, false
		case filepath.Base(link) != file.name:
			continue
		}
		info, _ := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if ino := fdinfo(string(info), "ino"); ino == strconv.FormatUint(file.ino, 10) || ino == "" {
			ids = append(ids, fdinfo(string(info), "mnt_id"))
		}
	}
	if len(ids) == 0 || c.mount.id == "" {
		return len(ids), true
	}
	// Another downloadfs has a control file too.
	mountinfo, _ := os.ReadFile(filepath.Join(dir, "mountinfo"))
	devices := mountDevices(string(mountinfo))
	return len(slices.DeleteFunc(ids, func(id string) bool {
		device, ok := devices[id]
		return ok && device != c.mount.id
	})), true
}
