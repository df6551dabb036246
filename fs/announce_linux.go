//go:build !portable

package fs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// newAnnouncer returns nil if nothing can be announced: no program was given for it,
// or where the mount is cannot be known.
func newAnnouncer(f *filesystem, cfg Config, mountpoint string) *announcer {
	if cfg.Announcer == nil || isPassed(mountpoint) {
		return nil
	}
	a := &announcer{
		fs: f, command: cfg.Announcer, mount: mountpoint, root: cfg.UID == 0,
		done: make(chan struct{}), woken: make(chan struct{}, 1),
		shown: make(map[uint64]shown), removed: make(map[uint64]bool), leaving: make(map[string]*dropNode),
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

// announceChild is the process that makes the changes.
type announceChild struct {
	announcer *announcer
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Reader
	broken    bool
}

// where tells the child which mount it is to make changes in.
type where struct {
	Mountpoint string `json:"mountpoint"`
	Device     uint64 `json:"device"`
}

func startAnnounceChild(a *announcer) (*announceChild, error) {
	major, minor, err := deviceNumbers(a.fs.callers.mount.id)
	if err != nil {
		return nil, fmt.Errorf("the mount's device is not known: %w", err)
	}
	cmd := a.command()
	cmd.Dir = "/"
	// A terminal's Ctrl-C is not for the child: it goes when this process goes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &announceChild{announcer: a, cmd: cmd, in: in, out: bufio.NewReader(out)}
	a.pid.Store(int64(cmd.Process.Pid))
	a.child.Store(c)
	if a.ctx.Err() != nil { // close did not see the child
		c.kill()
	}
	if err := json.NewEncoder(in).Encode(where{a.mount, unix.Mkdev(major, minor)}); err != nil {
		a.endChild()
		return nil, err
	}
	return c, nil
}

// make makes a change and waits until the kernel has it.
func (c *announceChild) make(ch *change) error {
	err := json.NewEncoder(c.in).Encode(ch)
	var line string
	if err == nil {
		line, err = c.out.ReadString('\n')
	}
	if err != nil {
		c.broken = true
		return err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(line)); err != nil || n != 0 {
		return errors.Join(err, syscall.Errno(n))
	}
	return nil
}

// failed reports whether the child is of no use any more.
func (c *announceChild) failed() bool { return c.broken }

func (c *announceChild) end() {
	_ = c.in.Close()
	c.kill()
	c.announcer.pid.Store(0)
	_ = c.cmd.Wait()
}

// kill may be called at any time by anybody.
func (c *announceChild) kill() { _ = c.cmd.Process.Kill() }

// Announce is the child's side. It reads which changes to make, makes them and answers
// each with its errno, until in ends. Only the thread that calls it may touch the mount:
// the process that serves the mount knows it by its process id, so it must be the first
// thread.
//
// It holds nothing of the mount while it waits. So it never keeps anybody from
// unmounting.
func Announce(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(in)
	var w where
	if err := lines.Decode(&w); err != nil {
		return err
	}
	for {
		var c change
		if err := lines.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var errno syscall.Errno
		if err := w.make(c); err != nil && !errors.As(err, &errno) {
			errno = syscall.EIO
		}
		if _, err := fmt.Fprintln(out, int(errno)); err != nil {
			return err
		}
	}
}

// make makes a change in the mount, and nowhere else if the mount is not there any
// more.
func (w where) make(c change) error {
	root, err := unix.Open(w.Mountpoint, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return err
	}
	if uint64(st.Dev) != w.Device {
		return unix.ESTALE
	}
	dir, err := unix.Openat2(root, c.Dir, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	now, omit := unix.Timespec{Nsec: unix.UTIME_NOW}, unix.Timespec{Nsec: unix.UTIME_OMIT}
	switch c.Kind {
	case changeLink:
		return unix.Linkat(dir, c.Name, dir, c.To, 0)
	case changeMkdir:
		return unix.Mkdirat(dir, c.Name, 0o700)
	case changeRename:
		return unix.Renameat2(dir, c.Name, dir, c.To, unix.RENAME_NOREPLACE)
	case changeRmdir:
		return unix.Unlinkat(dir, c.Name, unix.AT_REMOVEDIR)
	case changeUnlink:
		return unix.Unlinkat(dir, c.Name, 0)
	case changeTimes:
		return unix.UtimesNanoAt(dir, c.Name, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW)
	case changeMTime:
		return unix.UtimesNanoAt(dir, c.Name, []unix.Timespec{omit, now}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.EINVAL
}
