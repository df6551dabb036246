package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"downloadfs/client"
)

// envDaemon tells the process of a background mount which descriptor its parent waits
// on. From the one after it the process reads the password: the environment that a
// process was started with can be looked at as long as it runs. It is not the variable
// of a flag.
const envDaemon = "_DOWNLOADFS_DAEMON_FD"

// envHelper tells that process that mount(8) wants the mount. mount -a wants each mount
// of fstab again and again, so one that is there already is no failure.
const envHelper = "_DOWNLOADFS_MOUNT_HELPER"

// startDaemon runs this command again in the background and returns when the mount is
// ready. If the mount fails, startDaemon returns the exit code; the child has already
// written the reason to standard error. prepare may change the command before it
// starts.
func startDaemon(cmd *cobra.Command, args []string, mountpoint string, password client.Secret, prepare func(*exec.Cmd)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	secret, err := pipeOf(password)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	defer secret.Close()
	child := exec.Command(self, args...)
	child.Args[0] = "downloadfs" // this process may have another name, such as a mount helper's
	passed := passedFiles(mountpoint)
	child.Env = append(os.Environ(), envDaemon+"="+fmt.Sprint(firstFD+len(passed)))
	child.Stdin, child.Stderr = os.Stdin, os.Stderr
	child.ExtraFiles = append(passed, w, secret)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's hangup does not reach it
	if prepare != nil {
		prepare(child)
	}
	if err := keepDescriptors(); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := child.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return err
	}
	// Ctrl-C stops the child's start, and the child says so.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	go func() {
		for sig := range signals {
			_ = child.Process.Signal(sig)
		}
	}()
	ready, err := bufio.NewReader(r).ReadString('\n')
	if err == nil {
		fmt.Fprint(cmd.OutOrStdout(), ready)
		return child.Process.Release()
	}
	err = child.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &exitError{code: exit.ExitCode(), err: errTold}
	}
	return fmt.Errorf("the mount's process ended before the mount was ready (%v)", err)
}

// firstFD is the first descriptor after standard error.
const firstFD = 3

// passedFiles returns the files that a child gets from firstFD on, so that the descriptor
// of a mountpoint /dev/fd/N is N there, too. It returns none for another mountpoint.
func passedFiles(mountpoint string) []*os.File {
	number, ok := strings.CutPrefix(mountpoint, "/dev/fd/")
	if !ok {
		return nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < firstFD {
		return nil // the child says what is wrong with it
	}
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	files := make([]*os.File, fd-firstFD+1) // nil is closed in the child
	files[fd-firstFD] = os.NewFile(uintptr(again), mountpoint)
	return files
}

// keepDescriptors keeps the descriptors of this process to itself: a child gets the first
// three, and those that it is given. A shell or another program may have left some open
// here. A mount in the background would hold a lock, or the end of a pipe, for as long
// as it runs.
func keepDescriptors() error {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= firstFD {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// pipeOf returns a pipe from which a secret can be read.
func pipeOf(secret client.Secret) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() { // a long one does not fit into the pipe
		_, _ = w.WriteString(secret.Reveal())
		_ = w.Close()
	}()
	return r, nil
}

// errTold means that standard error already says what went wrong.
var errTold = errors.New("standard error says what went wrong")

// daemonChild is the process of a mount in the background, as the process itself sees
// it.
type daemonChild struct {
	parent   *os.File
	helper   bool          // the parent is a mount helper
	password client.Secret // of the parent's environment
	log      *logFile
}

// asDaemon returns this process's side of a background mount, or nil if the mount
// runs in the foreground.
func asDaemon() (*daemonChild, error) {
	text := os.Getenv(envDaemon)
	if text == "" {
		return nil, nil
	}
	helper := os.Getenv(envHelper) != ""
	if err := errors.Join(os.Unsetenv(envDaemon), os.Unsetenv(envHelper)); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envDaemon, err)
	}
	unix.CloseOnExec(fd)
	secret := os.NewFile(uintptr(fd)+1, "password")
	defer secret.Close()
	password, err := io.ReadAll(secret)
	if err != nil {
		return nil, err
	}
	signal.Ignore(syscall.SIGHUP) // sent when the session ends; the mount stays
	return &daemonChild{parent: os.NewFile(uintptr(fd), "parent"), helper: helper, password: client.Secret(password)}, nil
}

// ready lets go of the session, the terminal and the directory where the mount was
// started, and tells the parent.
func (d *daemonChild) ready(line string) error {
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) { // EPERM: it has its own already
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 2 {
		if err := unix.Dup2(int(null.Fd()), fd); err != nil {
			return err
		}
	}
	if err := d.log.takeStderr(); err != nil { // for what a crash writes
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return d.tell(line)
}

// tell lets the parent go, which says what is in line.
func (d *daemonChild) tell(line string) error {
	_, err := io.WriteString(d.parent, line)
	return errors.Join(err, d.parent.Close())
}

// absolute makes the file names that a background process uses later absolute, so
// they hold wherever it is.
func (o *mountOptions) absolute() error {
	for _, name := range []*string{&o.stateDir, &o.cacheDir, &o.caCert, &o.clientCert, &o.clientKey, &o.keytab, &o.logFile, &o.share.keyFile} {
		if *name == "" {
			continue
		}
		abs, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = abs
	}
	return nil
}

// defaultLogFile returns the file that a background mount logs to.
func (o *mountOptions) defaultLogFile(mountpoint string) (string, error) {
	dir, err := accountDir("state-dir", o.stateDir, "logs")
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(mountpoint)
	if err != nil {
		return "", err
	}
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
	return filepath.Join(dir, name[max(0, len(name)-100):]+".log"), nil
}
