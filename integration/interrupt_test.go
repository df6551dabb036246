package integration

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// interruptLimit is how soon a signal that counts must end a waiting call.
var interruptLimit = harness.Scaled(time.Second)

// endsWithin waits for p and fails unless it ended within interruptLimit.
func endsWithin(t *testing.T, p *harness.Process) harness.Result {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(interruptLimit):
		require.FailNow(t, "still running", "%v after the signal", interruptLimit)
	}
	return p.Wait()
}

// TestSignalEndsWaitingReader: Ctrl-C, a kill and the like end a reader that
// waits for an archive.
// Proves S-18.
func TestSignalEndsWaitingReader(t *testing.T) {
	t.Parallel()
	m := harness.StartMount(t, neverDone(t), harness.MountOptions{})
	id := submit(t, m, "scans")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL, syscall.SIGUSR1} {
		for _, script := range []string{
			"cat " + id + "/archive.zip",                                         // waits in OPEN
			"stat -L -c %s " + id + "/status && unzip -l " + id + "/archive.zip", // waits in GETATTR
		} {
			t.Run(fmt.Sprintf("%d %.5s", sig, script), func(t *testing.T) {
				t.Parallel()
				// Whoever runs the tests may have them ignore a hangup.
				p := m.Cmd("exec env --default-signal=HUP,INT,TERM sh -c '" + script + "'").Start(t)
				p.Blocked(t)
				p.Signal(t, sig)
				assert.Equal(t, sig, endsWithin(t, p).Signal)
			})
		}
	}
}

// TestHandledSignalInterruptsOpen: a program that handles a signal gets EINTR
// from its call, as it would from a slow terminal or a pipe.
// Proves S-18.
func TestHandledSignalInterruptsOpen(t *testing.T) {
	t.Parallel()
	m := harness.StartMount(t, neverDone(t), harness.MountOptions{})
	id := submit(t, m, "scans")
	// ctypes, since Python's own open would try again after EINTR.
	p := m.Cmd(`exec python3 -c '
import ctypes, errno, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, True)
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
fd = libc.open(sys.argv[1].encode(), 0)
print(fd, errno.errorcode[ctypes.get_errno()])
' ` + id + "/archive.zip").Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return p.Output() != "" }, "not ready")
	p.Blocked(t)
	p.Signal(t, syscall.SIGUSR1)
	assert.Equal(t, "ready\n-1 EINTR", endsWithin(t, p).Out(t))
}

// TestHarmlessSignalsDoNotInterrupt: a resized terminal, an ended child, a
// profiler's and a runtime's own signals do not make a reader fail, though it
// handles them; and after them it can still be killed.
// Proves S-18.
func TestHarmlessSignalsDoNotInterrupt(t *testing.T) {
	t.Parallel()
	server, endless := harness.StartServer(t, harness.Samples(t)), neverDone(t)
	web := faults.NewServer(t, server.URL)
	zipping := web.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("IN_PROGRESS")})
	m := harness.StartMount(t, server, harness.MountOptions{URL: web.URL()})
	waiting := harness.StartMount(t, endless, harness.MountOptions{})
	id, never := submit(t, m, "Sites/press/documentLibrary/photos"), submit(t, waiting, "scans")
	reader := `exec python3 -c '
import hashlib, os, signal, sys
for s in (signal.SIGURG, signal.SIGWINCH, signal.SIGCHLD, signal.SIGPROF):
    signal.signal(s, lambda *_: None)
    signal.siginterrupt(s, True)
print("ready", flush=True)
fd = os.open(sys.argv[1], os.O_RDONLY)
print(hashlib.md5(os.read(fd, 1 << 24)).hexdigest())
' `
	p := m.Cmd(reader + id + "/archive.zip").Start(t)
	doomed := waiting.Cmd(reader + never + "/archive.zip").Start(t)
	for _, r := range []*harness.Process{p, doomed} {
		// Before it is ready it blocks as well, for a moment, and handles no signal.
		harness.Eventually(t, harness.Timeout, func() bool { return r.Output() != "" }, "not ready")
		r.Blocked(t)
	}
	for range 5 {
		for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGPROF} {
			p.Signal(t, sig)
			doomed.Signal(t, sig)
		}
		time.Sleep(20 * time.Millisecond) // one interrupt is sent each time
	}
	require.True(t, doomed.Running(), "ended by a harmless signal")
	doomed.Signal(t, syscall.SIGKILL)
	assert.Equal(t, syscall.SIGKILL, endsWithin(t, doomed).Signal)
	require.True(t, p.Running(), "ended by a harmless signal")
	zipping.Remove()
	sum := p.Wait().Out(t)
	assert.Equal(t, "ready\n"+archiveMD5(t, server, id), sum)
}

// envGoReader makes the test binary a Go program that reads a file.
const envGoReader = "DOWNLOADFS_TEST_GO_READER"

// TestGoReader: Go's runtime sends its own threads SIGURG all the time; a Go
// program reads a pending archive all the same.
// Proves S-13.
func TestGoReader(t *testing.T) {
	t.Parallel()
	server := slow(t)
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/photos")
	self, err := os.Executable()
	require.NoError(t, err)
	p := harness.Cmd{
		Name: self,
		Args: []string{"-test.run=^TestGoReaderChild$"},
		Env:  []string{envGoReader + "=" + m.Downloads + "/" + id + "/archive.zip"},
	}.Start(t)
	p.Blocked(t)
	assert.Contains(t, p.Wait().Out(t), "md5 "+archiveMD5(t, server, id)+"\n")
}

// TestGoReaderChild is the program that TestGoReader runs.
func TestGoReaderChild(t *testing.T) {
	path := os.Getenv(envGoReader)
	if path == "" {
		t.Skip("only run by TestGoReader")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGURG)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-signals:
			case <-time.After(10 * time.Millisecond):
				syscall.Kill(syscall.Getpid(), syscall.SIGURG)
			}
		}
	}()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	fmt.Printf("md5 %x\n", md5.Sum(content))
}
