package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

var stallTimeout = harness.Scaled(2 * time.Second)

var seesStalled = seen{errno: syscall.ETIMEDOUT}

// A zip that died on the server without a word releases who waits, and status
// says why.
// Proves S-82.
func TestSilentZipFailure(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t), "--fail-zip-after", "300000"))
	r.mounted(t, "--stall-timeout", stallTimeout.String())
	began := time.Now()
	id := r.create(t)
	readers := []*harness.Process{r.read(t, id), r.read(t, id), r.mount.Cmd("exec stat -c %s " + id + "/archive.zip").Start(t)}
	for _, p := range readers {
		seesStalled.check(t, p.Wait(), "")
	}
	took := time.Since(began)
	assert.GreaterOrEqual(t, took, stallTimeout)
	assert.Less(t, took, stallTimeout+harness.Scaled(5*time.Second))
	assert.Contains(t, []string{"PENDING", "IN_PROGRESS"}, r.mount.Status(t, id, "status"), "what the server says is not changed")
	assert.Contains(t, r.mount.Status(t, id, "error"), "no progress with this download for "+stallTimeout.String())
	assert.Contains(t, r.mount.Sh(t, "cat "+id+"/status.json").Out(t), "no progress")

	// Whoever comes later is told at once, and not after another stall timeout.
	began = time.Now()
	seesStalled.check(t, r.read(t, id).Wait(), "")
	assert.Less(t, time.Since(began), stallTimeout)

	r.mount.Sh(t, "rm -r "+id).OK(t)
	harness.Eventually(t, harness.Timeout, func() bool { return r.http.Count(faults.Cancel) > 0 }, "it was not cancelled on the server")
}

// A stalled download is still polled, slowly, and goes on when the server does.
// Proves S-82.
func TestStallRecovers(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t)))
	r.mounted(t, "--stall-timeout", stallTimeout.String())
	stuck := r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Stuck()})
	id := r.create(t)
	seesStalled.check(t, r.read(t, id).Wait(), "")
	polls := stuck.Hits()
	time.Sleep(2 * time.Second)
	assert.LessOrEqual(t, stuck.Hits()-polls, 1, "polled as often as before")

	stuck.Remove()
	r.rightBytes(t, id, r.read(t, id).Wait())
	assert.Equal(t, "DONE", r.mount.Status(t, id, "status"))
	assert.Empty(t, r.mount.Status(t, id, "error"))
}

// A server that is away does not make a download stall.
// Proves S-83.
func TestOutageIsNoStall(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t), "--archive-rate", "400K"))
	stall := harness.Scaled(2 * time.Second) // the counters move with each file
	r.mounted(t, "--stall-timeout", stall.String(), "--retry-timeout", (20 * stall).String())
	id := r.create(t)
	p := r.read(t, id)
	p.Blocked(t)
	r.net.Cut()
	time.Sleep(3 * stall)
	r.net.Restore()
	r.rightBytes(t, id, p.Wait())
}

// A download whose counters move is not stalled, though it takes longer in all.
// Proves S-83.
func TestSlowZipIsNoStall(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t), "--archive-rate", "300K"))
	r.mounted(t, "--stall-timeout", harness.Scaled(3*time.Second).String())
	id := r.create(t)
	began := time.Now()
	r.rightBytes(t, id, r.read(t, id).Wait())
	assert.Greater(t, time.Since(began), harness.Scaled(4*time.Second), "too fast for this test")
}

// A connection on which no byte moves is dropped, and the read goes on at the
// byte it had reached, on another.
// Proves S-84.
func TestIdleConnectionIsDropped(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	id := r.done(t)
	r.http.Inject(faults.Rule{On: faults.Content, Times: 2, Fault: faults.StallAfter(100_000, 0)})
	began := time.Now()
	r.rightBytes(t, id, r.read(t, id).Wait())
	assert.GreaterOrEqual(t, time.Since(began), 2*retryBudget/4, "it was not waited for")
	asked := r.http.Requests(faults.Content)
	require.GreaterOrEqual(t, len(asked), 3)
	for i, from := range []string{"bytes=0-", "bytes=100000-", "bytes=200000-"} {
		assert.True(t, strings.HasPrefix(asked[i].Range, from), asked[i].Range)
	}
	// A busy machine may keep the third from moving, too.
	for i := 3; i < len(asked); i++ {
		assert.GreaterOrEqual(t, asked[i].At.Sub(asked[i-1].At), retryBudget/4, "a connection was given up early")
	}
	harness.Eventually(t, harness.Timeout, func() bool { return r.http.Active(faults.Content) == 0 }, "the idle connections are still there")
}

// A slow connection that moves is left alone.
// Proves S-84.
func TestSlowConnectionIsKept(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	id := r.done(t)
	// Bytes come eight times in an idle timeout, and in all it takes longer than the
	// retry budget.
	r.http.Inject(faults.Rule{On: faults.Content, Fault: faults.Trickle(40_000, retryBudget/32)})
	began := time.Now()
	r.rightBytes(t, id, r.read(t, id).Wait())
	assert.Greater(t, time.Since(began), retryBudget)
	assert.Equal(t, 1, r.http.Count(faults.Content))
}

// The background fetch goes on after every fault of content, once each, until
// the archive is in the cache.
// Proves S-85.
func TestBackgroundFetchSurvivesFaults(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t)))
	for _, f := range []faults.Fault{
		faults.Status(503), faults.HTML(502), faults.Truncate(0), faults.Truncate(200_000), faults.Reset(100_000),
		faults.StallAfter(300_000, 0), faults.Short(10), faults.DropBefore(), faults.Unauthorized(), faults.HalfRange(),
		faults.Overlong(100), faults.EmptyPartial(),
	} {
		r.http.Inject(faults.Rule{On: faults.Content, Times: 1, Fault: f})
	}
	r.mounted(t, "--prefetch", "auto")
	id := r.done(t)
	harness.Eventually(t, harness.Timeout, func() bool {
		return r.mount.Status(t, id, "cachedBytes") == r.mount.Status(t, id, "archiveSize")
	}, "the archive is not whole")
	want := r.read(t, id).Wait()
	r.rightBytes(t, id, want)
	r.net.Cut()
	assert.Equal(t, want.Stdout, r.read(t, id).Wait().Stdout, "it needs the server")
	r.net.Restore()
}
