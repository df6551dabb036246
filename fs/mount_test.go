package fs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testMount is a mount served by the test process. Only other processes use it: a
// process that answers its own request can wait forever.
type testMount struct {
	*testing.T
	domain *fakeDomain
	server *Server
	dir    string
	log    *lockedBuffer
	files  []*os.File // closed after the mount is gone
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newTestMount(t *testing.T, options ...func(*Config)) *testMount {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	m := &testMount{T: t, domain: newFakeDomain(), dir: filepath.Join(t.TempDir(), "mnt"), log: &lockedBuffer{}}
	require.NoError(t, os.Mkdir(m.dir, 0o755))
	cfg := Config{
		Mountpoint: m.dir,
		FsName:     "http://127.0.0.1:8080",
		UID:        uint32(os.Geteuid()),
		GID:        uint32(os.Getegid()),
		Logger:     slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(&cfg)
	}
	var err error
	m.server, err = mount(cfg, m.domain)
	require.NoError(t, err)
	t.Cleanup(func() {
		err := m.server.Unmount()
		// A program that a test beside starts has this process's files for a moment.
		for end := time.Now().Add(5 * time.Second); errors.Is(err, ErrBusy) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
			err = m.server.Unmount()
		}
		if err != nil {
			require.NoError(t, m.server.UnmountLazy())
		}
		m.server.Wait()
		for _, f := range m.files {
			f.Close()
		}
		require.NoError(t, err)
		if t.Failed() && os.Getenv("FUSE_DEBUG") != "" {
			t.Log(m.log.String())
		}
	})
	return m
}

// command prepares a shell script that runs in another process, with the mount
// in $M and its downloads in $D.
func (m *testMount) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Env = append(os.Environ(), "M="+m.dir, "D="+m.dir+"/downloads", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// sh runs a script and returns what it printed, and its error.
func (m *testMount) sh(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := m.command(ctx, script).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

// ok runs a script that must succeed.
func (m *testMount) ok(script string) string {
	m.Helper()
	out, err := m.sh(script)
	require.NoError(m, err, "%s\n%s", script, out)
	return out
}

// archive returns a file of n bytes to be the archive of a download.
func (m *testMount) archive(n int) (*os.File, []byte) {
	m.Helper()
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	name := filepath.Join(m.TempDir(), "archive")
	require.NoError(m, os.WriteFile(name, data, 0o600))
	f, err := os.Open(name)
	require.NoError(m, err)
	m.files = append(m.files, f)
	return f, data
}

// eventually waits for a condition that other processes bring about.
func (m *testMount) eventually(cond func() bool, msg string) {
	m.Helper()
	require.Eventually(m, cond, 10*time.Second, 5*time.Millisecond, msg)
}
