package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Timeout is how long a tool may take if it does not have to wait for much.
const Timeout = time.Minute

// Cmd is a tool to run as a child process. Dir is where it starts. To start in a
// mount, use sh -c "cd …": the test process must not enter a mount.
type Cmd struct {
	User    User
	Dir     string
	Env     []string // added to PATH, HOME and LANG; there are no others but GORACE
	Stdin   io.Reader
	Timeout time.Duration // Timeout if 0; Start scales it
	Name    string
	Args    []string
}

// Result is what a tool did.
type Result struct {
	Cmd      string
	Stdout   string
	Stderr   string
	Code     int            // exit code, -1 if a signal ended it
	Signal   syscall.Signal // that signal, 0 if none
	TimedOut bool           // it was killed at its deadline
	Duration time.Duration
}

// Run runs a tool as the test's user and returns what it did. The test fails if the
// tool cannot be started or passes the deadline.
func Run(t testing.TB, timeout time.Duration, name string, args ...string) Result {
	t.Helper()
	return Cmd{Timeout: timeout, Name: name, Args: args}.Run(t)
}

// Sh runs a shell script as Run does, with a default deadline.
func Sh(t testing.TB, script string) Result {
	t.Helper()
	return Run(t, Timeout, "sh", "-c", script)
}

// ShAs is Sh as another user.
func ShAs(t testing.TB, u User, script string) Result {
	t.Helper()
	return Cmd{User: u, Name: "sh", Args: []string{"-c", script}}.Run(t)
}

// Run runs the tool to its end.
func (c Cmd) Run(t testing.TB) Result {
	t.Helper()
	p := c.Start(t)
	r := p.Wait()
	require.False(t, r.TimedOut, "did not end within %v: %s", p.timeout, r)
	return r
}

// OK fails the test unless the tool ended with exit code 0, and returns r.
func (r Result) OK(t testing.TB) Result {
	t.Helper()
	require.Zero(t, r.Code, "%s", r)
	return r
}

// Out calls OK and returns standard output without the space around it.
func (r Result) Out(t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(r.OK(t).Stdout)
}

// String describes the result for a failed test.
func (r Result) String() string {
	return fmt.Sprintf("%s: exit code %d, signal %d, after %v\nstdout: %.2000s\nstderr: %.2000s",
		r.Cmd, r.Code, r.Signal, r.Duration.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Process is a tool that was started and may still run.
type Process struct {
	child
	timeout        time.Duration
	text           string
	stdout, stderr syncBuffer
	result         Result // valid after done
}

// noHome is a home directory that is not there and that not even root can make: tools
// that find none would.
const noHome = "/proc/nonexistent"

// Start starts the tool in its own process group. The group is killed at the deadline
// and at the end of the test.
func (c Cmd) Start(t testing.TB) *Process {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = Timeout
	}
	c.Timeout = Scaled(c.Timeout)
	path := c.Name
	if !strings.Contains(path, "/") {
		path = Tool(t, path)
	}
	p := &Process{child: child{done: make(chan struct{})}, timeout: c.Timeout, text: strings.Join(append([]string{c.Name}, c.Args...), " ")}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = slices.Concat([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + noHome, "LANG=C.UTF-8"}, raceEnv, c.Env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &p.stdout, &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.User.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second // for grandchildren that keep the output open
	p.cmd = cmd
	start := time.Now()
	if err := cmd.Start(); err != nil {
		cancel()
		require.NoError(t, err, p.text)
	}
	go func() {
		defer close(p.done)
		defer cancel()
		err := cmd.Wait()
		p.result = Result{
			Cmd:      p.text,
			Stdout:   p.stdout.String(),
			Stderr:   p.stderr.String(),
			Code:     -1,
			TimedOut: ctx.Err() != nil,
			Duration: time.Since(start),
		}
		if cmd.ProcessState != nil {
			p.result.Code = cmd.ProcessState.ExitCode()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				p.result.Signal = status.Signal()
			}
		}
		if errors.Is(err, exec.ErrWaitDelay) {
			p.result.Stderr += "\n[a descendant kept the output open]"
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// Signal sends a signal to the whole process group.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.Pid(), sig); !errors.Is(err, syscall.ESRCH) {
		require.NoError(t, err)
	}
}

// Output returns what the process has written to standard output so far.
func (p *Process) Output() string { return p.stdout.String() }

// Errors returns what the process has written to standard error so far.
func (p *Process) Errors() string { return p.stderr.String() }

// Wait blocks until the process has ended, by itself or at its deadline.
func (p *Process) Wait() Result {
	<-p.done
	return p.result
}

// Becomes waits until the process is a program: a shell that says exec does not become
// it at once. It fails if the process ends first.
func (p *Process) Becomes(t testing.TB, program string) {
	t.Helper()
	Eventually(t, Timeout, func() bool {
		if !p.Running() {
			require.FailNow(t, "ended before it became "+program, "%s", p.Wait())
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.Pid()))
		return strings.TrimSpace(string(comm)) == program
	}, "%s does not become %s", p.text, program)
}

// Blocked waits until a process of the group sleeps in the kernel inside a FUSE
// request and stays there, as one does that waits for an archive. It fails if the
// process ends first. A short request, such as a shell's cd, does not count.
func (p *Process) Blocked(t testing.TB) {
	t.Helper()
	AllBlocked(t, p)
}

// Hangs returns what blocks a task of the group: anything in FUSE blocks the main
// thread, and asking for attributes blocks another one (only root can see that). It
// returns "" if nothing blocks, or not for long.
func (p *Process) Hangs() string {
	return hangs(func(_, pgid int) bool { return pgid == p.Pid() }, blocksAttr)
}

// Frozen returns what blocks the thread that draws the windows of the process, "" if
// nothing does.
func (p *Process) Frozen() string {
	return hangs(func(pid, _ int) bool { return pid == p.Pid() }, func(task fuseTask, _ []byte) bool { return task.main })
}

// blocksAttr reports whether a task is the first of its process, or asks for attributes.
func blocksAttr(task fuseTask, stack []byte) bool {
	return task.main || bytes.Contains(stack, []byte("attr"))
}

func hangs(mine func(pid, pgid int) bool, counts func(task fuseTask, stack []byte) bool) string {
	why := ""
	for range blockedLooks {
		why = ""
		for _, task := range tasksInFUSE(mine) {
			stack, _ := os.ReadFile(task.dir + "/stack")
			if counts(task, stack) {
				comm, _ := os.ReadFile(task.dir + "/comm")
				why = fmt.Sprintf("%s\n%s", comm, stack)
			}
		}
		if why == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return why
}

// BlockedThreads counts the threads of the group that wait for FUSE.
func (p *Process) BlockedThreads() int {
	return len(tasksInFUSE(func(_, pgid int) bool { return pgid == p.Pid() }))
}

// blockedLooks is how often in a row, 10 ms or more apart, a process must be seen in
// a FUSE request to count as blocked.
const blockedLooks = 15

// AllBlocked is Blocked for each of many processes.
func AllBlocked(t testing.TB, ps ...*Process) {
	t.Helper()
	seen := make(map[int]int, len(ps))
	left := make(map[int]bool, len(ps)) // those that may not be blocked yet
	for _, p := range ps {
		left[p.Pid()] = true
	}
	often(t, Timeout, func() bool {
		blocked := make(map[int]bool)
		for _, task := range tasksInFUSE(func(_, pgid int) bool { return left[pgid] }) {
			blocked[task.pgid] = true
		}
		for _, p := range ps {
			if !left[p.Pid()] {
				continue
			}
			if !p.Running() {
				require.FailNow(t, "ended instead of blocking", "%s", p.Wait())
			}
			if seen[p.Pid()]++; !blocked[p.Pid()] {
				seen[p.Pid()] = 0
			}
			if seen[p.Pid()] >= blockedLooks {
				delete(left, p.Pid())
			}
		}
		return len(left) == 0
	}, "%s does not block", ps[0].text)
}

// fuseTask is a task that waits for FUSE.
type fuseTask struct {
	dir  string // in /proc
	pgid int
	main bool // the first of its process
}

// tasksInFUSE returns the tasks of some processes that wait for FUSE.
func tasksInFUSE(mine func(pid, pgid int) bool) []fuseTask {
	var found []fuseTask
	procs, _ := os.ReadDir("/proc")
	for _, e := range procs {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
		// The fields after the name, which may contain anything: state ppid pgrp.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 {
			continue
		}
		pgid, _ := strconv.Atoi(string(fields[2]))
		if !mine(pid, pgid) {
			continue // a test may run beside hundreds of others' threads
		}
		tasks, _ := os.ReadDir("/proc/" + e.Name() + "/task")
		for _, task := range tasks {
			dir := "/proc/" + e.Name() + "/task/" + task.Name()
			where, _ := os.ReadFile(dir + "/" + whereFile)
			if bytes.Contains(where, []byte("fuse")) || bytes.Contains(where, []byte("request_wait_answer")) {
				found = append(found, fuseTask{dir, pgid, task.Name() == e.Name()})
			}
		}
	}
	return found
}

// Eventually polls until ok returns true: at first every 10 ms, later after a tenth of
// the time that it has waited, and never for more than half of the time, since to ask
// often takes what it waits for the processor. It fails the test after a timeout, which
// it scales.
func Eventually(t testing.TB, timeout time.Duration, ok func() bool, format string, args ...any) {
	t.Helper()
	poll(t, timeout, time.Second/4, ok, format, args...)
}

// often is Eventually for what must be looked at all the time.
func often(t testing.TB, timeout time.Duration, ok func() bool, format string, args ...any) {
	t.Helper()
	poll(t, timeout, 10*time.Millisecond, ok, format, args...)
}

func poll(t testing.TB, timeout, slowest time.Duration, ok func() bool, format string, args ...any) {
	t.Helper()
	began := time.Now()
	for asked := began; !ok(); asked = time.Now() {
		took, waited := time.Since(asked), time.Since(began)
		if waited > Scaled(timeout) {
			require.FailNow(t, fmt.Sprintf(format, args...), "not within %v", Scaled(timeout))
		}
		time.Sleep(max(took, min(max(waited/10, 10*time.Millisecond), slowest)))
	}
}

// syncBuffer collects the output of a process that still runs.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
