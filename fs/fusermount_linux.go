package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fusermount runs the set-user-ID helper that mounts and unmounts for ordinary users.
func fusermount(args ...string) error { return runFusermount(nil, args...) }

// fusermountMount mounts on mountpoint and returns the connection's descriptor.
// go-fuse would run the helper too, but it leaves the helper's messages on standard
// error and reports only its exit code.
func fusermountMount(mountpoint string, o *fuse.MountOptions) (fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer ours.Close()
	err = runFusermount(theirs, "-o", mountOptions(o), "--", mountpoint)
	theirs.Close()
	if err != nil {
		return -1, err
	}
	return receiveFD(pair[0])
}

// mountOptions returns the options for fusermount3, which separates them by commas.
func mountOptions(o *fuse.MountOptions) string {
	all := append([]string{"fsname=" + o.FsName, "subtype=" + o.Name, fmt.Sprintf("max_read=%d", o.MaxWrite)}, o.Options...)
	if o.AllowOther {
		all = append(all, "allow_other")
	}
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	for i := range all {
		all[i] = escape.Replace(all[i])
	}
	return strings.Join(all, ",")
}

// receiveFD receives the descriptor that fusermount3 sent before it ended.
func receiveFD(socket int) (int, error) {
	var data [4]byte
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data[:], control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fusermount3 sent no connection: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("fusermount3 sent no connection")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 sent no connection")
	}
	return fds[0], nil
}

// runFusermount runs fusermount3. To mount, it passes a socket for the connection.
// Its error is one line and says what to do if that is known.
func runFusermount(socket *os.File, args ...string) error {
	bin, err := fusermountPath()
	if err != nil {
		return err
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if socket != nil {
		cmd.ExtraFiles = []*os.File{socket}
		cmd.Env = append(cmd.Env, "_FUSE_COMMFD=3")
	}
	text, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case bytes.Contains(text, []byte("busy")):
		return unix.EBUSY
	}
	said := strings.Join(strings.Fields(strings.ReplaceAll(string(text), bin+":", " ")), " ")
	if said == "" {
		said = err.Error()
	}
	if strings.Contains(said, "not permitted") || strings.Contains(said, "denied") {
		said += powerless(bin)
	}
	return fmt.Errorf("fusermount3: %s", said)
}

// powerless returns why fusermount3 lacks the rights that it needs, and what to do,
// or "" if it has them.
func powerless(bin string) string {
	info, err := os.Stat(bin)
	var where unix.Statfs_t
	if nnp, e := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); e == nil && nnp == 1 {
		return "; this process may gain no privileges; turn off NoNewPrivileges= of its unit or no-new-privileges of its container, or mount as root"
	}
	if err == nil && info.Mode()&os.ModeSetuid == 0 {
		return fmt.Sprintf("; it has lost its set-user-ID bit; run chmod u+s %s as root, or mount as root", bin)
	}
	if unix.Statfs(bin, &where) == nil && where.Flags&unix.ST_NOSUID != 0 {
		return fmt.Sprintf("; the file system of %s is mounted nosuid; mount it with suid, or mount as root", bin)
	}
	return ""
}

func fusermountPath() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", fmt.Errorf("%w: fusermount3 is missing; install the package fuse3, or mount as root", ErrFUSE)
}
