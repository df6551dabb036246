package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// daemonTimeout is how long the binary may take to start, and to end.
var daemonTimeout = Scaled(20 * time.Second)

// Record is one log record: slog's keys and values.
type Record map[string]any

// String returns the value of a key, "" if there is none.
func (r Record) String(key string) string {
	if v, ok := r[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Log is what a process under test has logged so far.
type Log struct {
	mu      sync.Mutex // guards the fields below
	text    strings.Builder
	records []Record
	broken  []string // lines that are not log records
	allowed []*regexp.Regexp
	more    chan struct{} // closed and replaced when a record comes
}

// Text returns the raw log.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Records returns the records with op. With "" it returns all.
func (l *Log) Records(op string) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Record
	for _, r := range l.records {
		if op == "" || r.String("op") == op {
			found = append(found, r)
		}
	}
	return found
}

// Allow announces warnings and errors. A record whose JSON matches pattern does not
// fail the test.
func (l *Log) Allow(pattern string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allowed = append(l.allowed, regexp.MustCompile(pattern))
}

// AwaitRecord waits for a record that ok accepts. It scales the timeout.
func (l *Log) AwaitRecord(t testing.TB, timeout time.Duration, what string, ok func(Record) bool) Record {
	t.Helper()
	deadline := time.NewTimer(Scaled(timeout))
	defer deadline.Stop()
	seen := 0
	for {
		l.mu.Lock()
		records, more := l.records[seen:], l.more
		seen = len(l.records)
		l.mu.Unlock()
		for _, r := range records {
			if ok(r) {
				return r
			}
		}
		select {
		case <-more:
		case <-deadline.C:
			require.FailNow(t, "not logged within "+timeout.String(), "%s; the log:\n%s", what, l.Text())
		}
	}
}

// read takes records from r until its end.
func (l *Log) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			l.add(line)
		}
		if err != nil {
			return
		}
	}
}

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line)
	var r Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		l.broken = append(l.broken, strings.TrimSpace(line))
		return
	}
	l.records = append(l.records, r)
	close(l.more)
	l.more = make(chan struct{})
}

// check fails the test for every warning or error in the log that was not announced.
func (l *Log) check(t testing.TB, who string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	unannounced := func(line string) bool {
		for _, re := range l.allowed {
			if re.MatchString(line) {
				return false
			}
		}
		return true
	}
	for _, line := range l.broken {
		if unannounced(line) {
			t.Errorf("%s wrote: %s", who, line)
		}
	}
	for _, r := range l.records {
		if level := r.String("level"); level != "WARN" && level != "ERROR" {
			continue
		}
		if line, _ := json.Marshal(r); unannounced(string(line)) {
			t.Errorf("%s logged: %s", who, line)
		}
	}
}

// daemon is a running serve or mount.
type daemon struct {
	child // done is closed when its whole log has been read, too
	Log   *Log
	ready string // its ready line
}

// Failure describes how the binary ended before it was ready.
type Failure struct {
	Code   int
	Line   string // everything that it wrote except log records
	Stdout string
}

// startDaemon starts the binary at program and waits for its ready line. If the binary ends
// first, it returns the failure instead.
func startDaemon(t testing.TB, program string, u User, env, args []string, pidNamespace bool) (*daemon, *Failure) {
	t.Helper()
	d := &daemon{child: child{exec.Command(program, args...), make(chan struct{})}, Log: &Log{more: make(chan struct{})}}
	d.cmd.Dir = "/"
	d.cmd.Env = slices.Concat([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + noHome}, raceEnv, env)
	if n := os.Getenv("GOMAXPROCS"); n != "" { // with make test's run on one processor, the binary gets one too
		d.cmd.Env = append(d.cmd.Env, "GOMAXPROCS="+n)
	}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: u.credential()}
	if pidNamespace {
		inPIDNamespace(d.cmd.SysProcAttr)
	}
	// Use os.Pipe, not StdoutPipe: Wait must not end before everything is read.
	outR, outW, err := os.Pipe()
	require.NoError(t, err)
	errR, errW, err := os.Pipe()
	require.NoError(t, err)
	d.cmd.Stdout, d.cmd.Stderr = outW, errW
	err = d.cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		outR.Close()
		errR.Close()
		require.NoError(t, err)
	}
	lines := make(chan string, 1)
	var stdout syncBuffer
	var readers sync.WaitGroup
	readers.Go(func() {
		defer outR.Close()
		defer close(lines)
		r := bufio.NewReader(outR)
		for first := true; ; first = false {
			line, err := r.ReadString('\n')
			stdout.Write([]byte(line))
			if err != nil {
				return
			}
			if first {
				lines <- strings.TrimSpace(line)
			}
		}
	})
	readers.Go(func() {
		defer errR.Close()
		d.Log.read(errR)
	})
	go func() {
		defer close(d.done)
		readers.Wait()
		d.cmd.Wait() // ProcessState has the result
	}()

	timer := time.NewTimer(daemonTimeout)
	defer timer.Stop()
	select {
	case line, ok := <-lines:
		if ok {
			d.ready = line
			return d, nil
		}
		<-d.done
		return nil, &Failure{
			Code:   d.cmd.ProcessState.ExitCode(),
			Line:   strings.Join(d.Log.broken, "\n"),
			Stdout: stdout.String(),
		}
	case <-timer.C:
		d.kill(t, syscall.SIGQUIT)
		require.FailNow(t, "not ready within "+daemonTimeout.String(), "%v; its log:\n%s", args, d.Log.Text())
		return nil, nil
	}
}

// ReadyLine returns the line that the process printed when it was ready.
func (d *daemon) ReadyLine() string { return d.ready }

// Signal sends the process a signal.
func (d *daemon) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(sig))
}

// ExitCode waits for the process to end and returns its exit code, or -1 if a signal
// ended it.
func (d *daemon) ExitCode(t testing.TB) int {
	t.Helper()
	if !d.await(daemonTimeout) {
		d.kill(t, syscall.SIGQUIT)
		require.FailNow(t, "did not end within "+daemonTimeout.String(), "its log:\n%s", d.Log.Text())
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *daemon) await(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-d.done:
		return true
	case <-timer.C:
		return false
	}
}

// kill ends the process in any case. SIGQUIT leaves its stacks in the log.
func (d *daemon) kill(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if !d.Running() {
		return
	}
	d.cmd.Process.Signal(sig)
	if !d.await(Scaled(5 * time.Second)) {
		d.cmd.Process.Kill()
		if !d.await(daemonTimeout) {
			t.Errorf("process %d cannot be killed", d.Pid())
		}
	}
}

// FDs counts the descriptors that the process has open.
func (d *daemon) FDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	require.NoError(t, err)
	return len(entries)
}

// CPU returns the processor time that the process has used.
func (d *daemon) CPU(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid()))
	require.NoError(t, err)
	// The fields after the name, which may contain anything: user and system time are
	// the 12th and 13th, in hundredths of a second.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		require.NoError(t, err)
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// Switches counts the context switches of the process's threads.
func (d *daemon) Switches(t testing.TB) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.Pid()))
	require.NoError(t, err)
	sum := 0
	for _, name := range files {
		text, _ := os.ReadFile(name) // the thread may have ended
		for line := range strings.Lines(string(text)) {
			for _, format := range []string{"voluntary_ctxt_switches: %d", "nonvoluntary_ctxt_switches: %d"} {
				var n int
				if got, _ := fmt.Sscanf(line, format, &n); got == 1 {
					sum += n
				}
			}
		}
	}
	return sum
}

// Resident returns the resident memory of the process, in bytes, and its peak.
func (d *daemon) Resident(t testing.TB) (now, peak int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			now = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			peak = kb << 10
		}
	}
	return now, peak
}
