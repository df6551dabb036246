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
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"downloadfs/client"
)

// envDaemon tells the process of a mount in the background which descriptor its
// parent waits on. It is no flag's variable.
const envDaemon = "_DOWNLOADFS_DAEMON_FD"

// daemonFD is that descriptor.
const daemonFD = 3

// startDaemon runs this command again in the background and returns when the mount
// is ready, or with the exit code that it ended with, having told why on standard
// error itself. prepare may change the command before it is started.
func startDaemon(cmd *cobra.Command, args []string, password client.Secret, prepare func(*exec.Cmd)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	child := exec.Command(self, args...)
	child.Args[0] = "downloadfs" // whatever name this process has, as of a mount helper
	child.Env = append(os.Environ(), envDaemon+"="+fmt.Sprint(daemonFD))
	if password != "" {
		child.Env = append(child.Env, envPassword+"="+password.Reveal()) // the child takes it out of its own
	}
	child.Stdin, child.Stderr = os.Stdin, os.Stderr
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's hangup reaches it
	if prepare != nil {
		prepare(child)
	}
	if err := child.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return err
	}
	// Ctrl-C ends the start of the child, which tells why.
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

// errTold: what went wrong is on standard error already.
var errTold = errors.New("the mount did not start")

// daemonChild is the process of a mount in the background.
type daemonChild struct {
	parent *os.File
	log    *logFile
}

// asDaemon returns this process's side of a mount in the background, nil if it
// is in the foreground.
func asDaemon() (*daemonChild, error) {
	if os.Getenv(envDaemon) == "" {
		return nil, nil
	}
	if err := os.Unsetenv(envDaemon); err != nil {
		return nil, err
	}
	unix.CloseOnExec(daemonFD)
	signal.Ignore(syscall.SIGHUP) // of a session that ends: the mount stays
	return &daemonChild{parent: os.NewFile(daemonFD, "parent")}, nil
}

// ready lets go of the terminal and of the directory that the mount was started
// in, and tells the parent.
func (d *daemonChild) ready(line string) error {
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
	if err := d.log.takeStderr(); err != nil { // of a crash
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	_, err = io.WriteString(d.parent, line)
	return errors.Join(err, d.parent.Close())
}

// absolute makes the names that a process in the background uses later hold
// wherever it is.
func (o *mountOptions) absolute() error {
	for _, name := range []*string{&o.stateDir, &o.cacheDir, &o.caCert, &o.clientCert, &o.clientKey, &o.logFile} {
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

// defaultLogFile is where a mount in the background logs.
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
