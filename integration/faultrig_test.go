package integration

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// retryBudget is the --retry-timeout of the mounts in these tests. A request
// then counts as unanswered after half of it, and a connection without a byte
// as dead after a quarter. It is less than the 10 s in which mount wants to hear of its
// server.
var retryBudget = func() time.Duration {
	if harness.Race || slowMachine {
		return 8 * time.Second // everything takes longer
	}
	return 4 * time.Second
}()

// shortBudget is the --retry-timeout of mounts of a server that does not answer: it is
// soon over, and yet enough for one that does.
var shortBudget = harness.Scaled(2 * time.Second).String()

// slowMachine says that a program takes several times as long as on another machine, as
// under an emulator.
var slowMachine = harness.Scaled(time.Second) >= 4*time.Second

// maxResident is what a mount may hold in memory whatever a server sends.
const maxResident = 96 << 20

// faultRig is a server, the two layers of faults in front of it, and a mount behind
// them: mount → net → http → server.
type faultRig struct {
	server *harness.Server
	http   *faults.Server
	net    *faults.Network
	mount  *harness.Mount
	// strange is another host. It answers as the server does, and must never be
	// shown the login.
	strange *faults.Server
}

// newFaultRig puts the fault layers in front of a server that runs already.
func newFaultRig(t testing.TB, server *harness.Server) *faultRig {
	t.Helper()
	r := &faultRig{server: server, http: faults.NewServer(t, server.URL), strange: faults.NewServer(t, server.URL)}
	r.net = faults.NewNetwork(t, r.http.Addr())
	return r
}

// options are the rig's for a mount. Its log may hold warnings, and no error.
func (r *faultRig) options(flags ...string) harness.MountOptions {
	return harness.MountOptions{
		URL:   r.net.URL(),
		Flags: append([]string{"--retry-timeout", retryBudget.String(), "--prefetch", "off"}, flags...),
		Allow: []string{`"level":"WARN"`},
	}
}

// mounted mounts through the layers and sees to it that no server can make the
// mount big or have it tell the password.
func (r *faultRig) mounted(t testing.TB, flags ...string) *faultRig {
	t.Helper()
	r.mount = harness.StartMount(t, r.server, r.options(flags...))
	t.Cleanup(func() { r.unharmed(t) })
	return r
}

func (r *faultRig) unharmed(t testing.TB) {
	t.Helper()
	if assert.True(t, r.mount.Running(), "the mount has ended") && !harness.Race {
		_, peak := r.mount.Resident(t)
		assert.Less(t, peak, int64(maxResident), "resident memory")
	}
	assert.NotContains(t, r.mount.Log.Text(), harness.AdminPassword)
	for _, q := range r.strange.Requests(faults.Any) {
		assert.False(t, q.Authorized, "another host was shown the login")
	}
}

// seen is what a user sees: success, or an errno and a part of the sentence in
// new or status; who mounts sees an exit code and a part of the line.
type seen struct {
	errno syscall.Errno
	says  string
	code  int
	line  string
	// or is another errno that is as right, 0 for none.
	or syscall.Errno
	// after is what comes on top of the time that it may take.
	after time.Duration
}

// remoteIO is Linux's EREMOTEIO, which macOS does not have: there it is EIO.
var remoteIO = func() syscall.Errno {
	if harness.Portable {
		return syscall.EIO
	}
	return 0x79
}()

// errnoNames are the names of the errnos that tests speak of.
var errnoNames = map[syscall.Errno]string{
	syscall.EHOSTUNREACH: "EHOSTUNREACH", 0x79: "EREMOTEIO", syscall.EACCES: "EACCES", syscall.EIO: "EIO", syscall.EPROTO: "EPROTO", syscall.EFBIG: "EFBIG",
	syscall.ENOENT: "ENOENT", syscall.ESTALE: "ESTALE", syscall.ENODATA: "ENODATA", syscall.EBUSY: "EBUSY",
}

// check compares what a tool met with what it should have.
func (want seen) check(t testing.TB, r harness.Result, sentence string) {
	t.Helper()
	if want.errno == 0 {
		require.Zero(t, r.Code, "%s\n%s", r, sentence)
		return
	}
	require.NotZero(t, r.Code, "it succeeded: %s", r)
	// The last attempt begins when the budget ends, and may take as long.
	assert.Less(t, r.Duration, 2*retryBudget+harness.Scaled(8*time.Second)+want.after, "it took too long: %s", r)
	if want.or != 0 && strings.Contains(strings.ToLower(r.Stderr), want.or.Error()) {
		return
	}
	require.Contains(t, strings.ToLower(r.Stderr), strings.ToLower(want.errno.Error()), "%s\n%s", r, sentence)
	require.Contains(t, sentence, want.says)
}

// write writes a list to new with a tool that tells what close says.
func (r *faultRig) write(t testing.TB, list string) *harness.Process {
	t.Helper()
	c := r.mount.Cmd("exec dd of=new bs=1M status=none")
	c.Stdin = strings.NewReader(list + "\n")
	return c.Start(t)
}

// outcome is what new says: the id, or the error.
func (r *faultRig) outcome(t testing.TB) string {
	t.Helper()
	return r.mount.Sh(t, "cat new").Out(t)
}

// create makes a download while all is well.
func (r *faultRig) create(t testing.TB) string {
	t.Helper()
	r.write(t, "/"+photos).Wait().OK(t)
	return r.outcome(t)
}

// done makes a download and waits until the server has finished it.
func (r *faultRig) done(t testing.TB) string {
	t.Helper()
	id := r.create(t)
	r.mount.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	return id
}

// read starts to read an archive from its first byte to its last.
func (r *faultRig) read(t testing.TB, id string) *harness.Process {
	t.Helper()
	c := r.mount.Cmd("exec md5sum < " + id + "/archive.zip")
	c.Timeout = harness.Timeout + seesUnseen.after
	return c.Start(t)
}

// rightBytes compares what a reader got with what the server has.
func (r *faultRig) rightBytes(t testing.TB, id string, got harness.Result) {
	t.Helper()
	code, body := r.server.Core(t, "GET", "/nodes/"+id+"/content", nil)
	require.Equal(t, http.StatusOK, code, "%.1000s", body)
	require.Equal(t, fmt.Sprintf("%x  -", md5.Sum(body)), got.Out(t), "wrong bytes")
}

// forgotten waits until the server has no download id any more.
func (r *faultRig) forgotten(t testing.TB, id string) {
	t.Helper()
	harness.Eventually(t, harness.Timeout, func() bool { return r.server.Status(t, id) == "" },
		"the server still has the download")
}

// sideBySide runs subtests, so many at once, and at most three on a slow machine. They
// mostly wait, so there may be more of them than -parallel allows for.
func sideBySide(t *testing.T, limit int, tests map[string]func(*testing.T)) {
	t.Helper()
	if slowMachine {
		limit = min(limit, 3)
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, limit)
	for name, test := range tests {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(name, test)
		})
	}
	running.Wait()
}
