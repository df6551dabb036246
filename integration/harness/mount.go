package harness

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a mount may still have at its very end, after it has closed everything of its
// own: the runtime's goroutines and descriptors.
const (
	maxGoroutinesAtExit  = 6
	maxDescriptorsAtExit = 16
)

// MountOptions say how to mount. The zero value mounts as the test's user and logs in
// as the administrator.
type MountOptions struct {
	User     User
	Username string   // AdminName if empty
	Password string   // the account's if empty
	NoLogin  bool     // neither of the two is in the environment
	Flags    []string // flags for mount, after the harness's own
	URL      string   // replaces the server's own, for a proxy in front of it; or a profile
	LogLevel string   // debug if empty, which logs each operation
	// Allow lists patterns of warnings and errors that may be logged.
	Allow []string
	// Path is where to mount. If empty, it is a new directory.
	Path string
	// StateDir and CacheDir are new directories if empty.
	StateDir, CacheDir string
	// Env is added to the environment of the mount.
	Env []string
	// Binary is what mounts, Binary() if empty.
	Binary string
	// PIDNamespace gives the mount its own pid namespace, as a container has. It can
	// see no caller from there. It needs root.
	PIDNamespace bool
}

// Mount is a running downloadfs mount.
type Mount struct {
	*daemon
	Path      string // the mountpoint
	Downloads string // Path/downloads
	StateDir  string
	CacheDir  string
	User      User

	args, env []string
	options   MountOptions
	unchecked sync.Once
}

// StartMount mounts the downloads of s and waits until the mount is ready. It
// unmounts at the end of the test, and fails the test unless that was clean.
func StartMount(t testing.TB, s *Server, o MountOptions) *Mount {
	t.Helper()
	m, failure := TryMount(t, s, o)
	require.Nil(t, failure, "mount ended: %+v", failure)
	return m
}

// TryMount is StartMount for a mount that may fail.
func TryMount(t testing.TB, s *Server, o MountOptions) (*Mount, *Failure) {
	t.Helper()
	m := &Mount{Path: o.Path, StateDir: o.StateDir, CacheDir: o.CacheDir, User: o.User, options: o}
	if m.Path == "" || m.StateDir == "" || m.CacheDir == "" {
		dir := Dir(t, o.User)
		for path, name := range map[*string]string{&m.Path: "mnt", &m.StateDir: "state", &m.CacheDir: "cache"} {
			if *path == "" {
				*path = filepath.Join(dir, name)
				o.User.mkdir(t, *path)
			}
		}
	}
	m.Downloads = filepath.Join(m.Path, "downloads")
	if o.Username == "" {
		o.Username = AdminName
	}
	if o.Password == "" {
		o.Password = PasswordOf(o.Username)
	}
	if o.LogLevel == "" {
		o.LogLevel = "debug"
	}
	if o.URL == "" {
		o.URL = s.URL
	}
	m.env = o.Env
	if !o.NoLogin {
		m.env = append([]string{"ALFRESCO_USERNAME=" + o.Username, "ALFRESCO_PASSWORD=" + o.Password}, o.Env...)
	}
	m.args = []string{"mount", "--log-format", "json", "--log-level", o.LogLevel, "--state-dir", m.StateDir, "--cache-dir", m.CacheDir}
	m.args = append(m.args, o.Flags...)
	m.args = append(m.args, o.URL, m.Path)
	if failure := m.start(t); failure != nil {
		return nil, failure
	}
	t.Cleanup(func() { m.end(t) })
	return m, nil
}

func (m *Mount) start(t testing.TB) *Failure {
	t.Helper()
	program := m.options.Binary
	if program == "" {
		program = Binary()
	}
	d, failure := startDaemon(t, program, m.User, m.env, m.args, m.options.PIDNamespace)
	if failure != nil {
		return failure
	}
	if m.daemon != nil { // the next run may log what this one may
		d.Log.allowed = m.Log.allowed
	}
	m.daemon = d
	for _, pattern := range m.options.Allow {
		d.Log.Allow(pattern)
	}
	m.unchecked = sync.Once{}
	return nil
}

// end is the cleanup of a test: it unmounts cleanly and then checks everything.
func (m *Mount) end(t testing.TB) {
	t.Helper()
	if m.Running() {
		m.cmd.Process.Signal(syscall.SIGTERM)
		if !m.await(daemonTimeout) {
			t.Errorf("mount did not end within %v of SIGTERM; its log:\n%.20000s", daemonTimeout, m.Log.Text())
			m.kill(t, syscall.SIGQUIT)
		} else if code := m.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("mount ended with exit code %d; its log:\n%.20000s", code, m.Log.Text())
		}
	}
	if Mounted(t, m.Path) {
		if m.cmd.ProcessState.ExitCode() == 0 {
			t.Errorf("still mounted after the end: %s", m.Path)
		}
		m.Detach(t)
	}
	m.check(t)
	if t.Failed() {
		t.Logf("log of the mount:\n%s", tail(m.Log.Text(), 8000))
	}
}

// check checks, once, what a run has logged and left behind.
func (m *Mount) check(t testing.TB) {
	t.Helper()
	m.unchecked.Do(func() {
		m.Log.check(t, "mount")
		for _, r := range m.Log.Records("exit") {
			if len(m.Log.Records("detach")) > 0 {
				break // calls into a mount that was detached in use go on
			}
			if n, _ := r["goroutines"].(float64); n > maxGoroutinesAtExit {
				t.Errorf("mount left %v goroutines", n)
			}
			if n, _ := r["descriptors"].(float64); n > maxDescriptorsAtExit {
				t.Errorf("mount left %v descriptors", n)
			}
		}
	})
}

// Unmount asks the mount to end, with SIGTERM, and checks that it ended cleanly.
func (m *Mount) Unmount(t testing.TB) {
	t.Helper()
	m.Signal(t, syscall.SIGTERM)
	require.Zero(t, m.ExitCode(t), "exit code; its log:\n%s", tail(m.Log.Text(), 8000))
	require.False(t, Mounted(t, m.Path), "still mounted")
	m.check(t)
}

// Kill9 kills the process as a crash would. The dead mount stays.
func (m *Mount) Kill9(t testing.TB) {
	t.Helper()
	m.kill(t, syscall.SIGKILL)
	m.check(t)
}

// Detach removes a dead mount.
func (m *Mount) Detach(t testing.TB) {
	t.Helper()
	for range 5 {
		if !Mounted(t, m.Path) {
			return
		}
		// A test as an ordinary user only mounts as that user.
		name, args := "umount", []string{"--lazy", "--no-canonicalize", m.Path}
		if !(User{}).Root() {
			name, args = "fusermount3", []string{"-uz", m.Path}
		}
		exec.Command(name, args...).Run()
	}
	if Mounted(t, m.Path) {
		t.Errorf("cannot detach %s", m.Path)
	}
}

// Remount mounts again after Unmount or Kill9, with the same state and cache. It
// replaces a dead mount.
func (m *Mount) Remount(t testing.TB) {
	t.Helper()
	failure := m.start(t)
	require.Nil(t, failure, "mount ended: %+v", failure)
}

// Dump is what a mount reports about itself.
type Dump struct {
	Goroutines  int
	Descriptors int
	HeapBytes   int64
	Stacks      string
}

// Dump asks the running mount, with SIGUSR1, what it uses.
func (m *Mount) Dump(t testing.TB) Dump {
	t.Helper()
	before := len(m.Log.Records("dump"))
	m.Signal(t, syscall.SIGUSR1)
	n := 0
	r := m.Log.AwaitRecord(t, Timeout, "a dump", func(r Record) bool {
		if r.String("op") == "dump" {
			n++
		}
		return n > before
	})
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var d Dump
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// Sh runs a script in the downloads directory as the mount's user.
func (m *Mount) Sh(t testing.TB, script string) Result {
	t.Helper()
	return m.Cmd(script).Run(t)
}

// Cmd returns a script to run in the downloads directory as the mount's user.
func (m *Mount) Cmd(script string) Cmd {
	return Cmd{User: m.User, Name: "sh", Args: []string{"-c", `cd "$1" && ` + script, "sh", m.Downloads}}
}

// Create writes a list to new and returns the download's id.
func (m *Mount) Create(t testing.TB, list string) string {
	t.Helper()
	c := m.Cmd(`exec 3<>new && cat >&3 && read id <&3 && echo "$id"`)
	c.Stdin = strings.NewReader(list)
	id := c.Run(t).Out(t)
	require.NotEmpty(t, id)
	return id
}

// Status reads a field of a download's status.
func (m *Mount) Status(t testing.TB, name, key string) string {
	t.Helper()
	for line := range strings.Lines(m.Sh(t, "cat '"+name+"/status'").Out(t)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && k == key {
			return v
		}
	}
	return ""
}

// AwaitStatus waits until a field of a download's status has a value.
func (m *Mount) AwaitStatus(t testing.TB, timeout time.Duration, name, key, value string) {
	t.Helper()
	Eventually(t, timeout, func() bool { return m.Status(t, name, key) == value },
		"%s of %s is not %s", key, name, value)
}

// List returns the names in the downloads directory, except new.
func (m *Mount) List(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, name := range strings.Fields(m.Sh(t, "ls -1").Out(t)) {
		if name != "new" {
			names = append(names, name)
		}
	}
	return names
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
