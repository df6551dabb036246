package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// A server that is started again in the middle of a read costs the reader time
// and nothing else, though it has forgotten the ticket.
// Proves S-86.
func TestServerRestartsDuringRead(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*harness.Server, testing.TB){"stop": (*harness.Server).Stop, "kill -9": (*harness.Server).Kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := harness.StartServer(t, harness.Samples(t), "--data-dir", harness.Dir(t, harness.User{}), "--content-rate", "1M")
			r := newFaultRig(t, server).mounted(t, "--retry-timeout", harness.Scaled(20*time.Second).String())
			id := r.done(t)
			p := r.read(t, id)
			harness.Eventually(t, harness.Timeout, func() bool {
				q := r.http.Requests(faults.Content)
				return len(q) > 0 && q[0].Sent > 100_000
			}, "no byte came")
			end(server, t)
			time.Sleep(500 * time.Millisecond)
			assert.True(t, p.Running())
			server.Restart(t)
			r.rightBytes(t, id, p.Wait())
		})
	}
}

// A download that was being zipped when the server was started again never ends
// there: it stalls here, and can be asked for again.
// Proves S-86.
func TestServerRestartsDuringZip(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t), "--data-dir", harness.Dir(t, harness.User{}), "--archive-rate", "250K") // 6 s
	r := newFaultRig(t, server).mounted(t, "--stall-timeout", harness.Scaled(2*time.Second).String(), "--retry-timeout", harness.Scaled(20*time.Second).String())
	id := r.create(t)
	p := r.read(t, id)
	p.Blocked(t)
	time.Sleep(500 * time.Millisecond)
	server.Kill(t)
	server.Restart(t)
	seesStalled.check(t, p.Wait(), "")
	assert.Contains(t, r.mount.Status(t, id, "error"), "no progress")

	r.mount.Sh(t, "cp "+id+"/nodes new").OK(t)
	again := r.outcome(t)
	assert.NotEqual(t, id, again)
	r.rightBytes(t, again, r.read(t, again).Wait())
}

// A server that is away for longer than the budget is told as such to who waits,
// and the next reader finds it back.
// Proves S-86.
func TestServerAwayForLong(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t), "--data-dir", harness.Dir(t, harness.User{}), "--archive-rate", "4M")
	r := newFaultRig(t, server)
	hold := r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("IN_PROGRESS")})
	r.mounted(t)
	id := r.create(t)
	p := r.read(t, id)
	p.Blocked(t)
	harness.Eventually(t, harness.Timeout, func() bool { return server.Status(t, id) == "DONE" }, "not zipped")
	server.Stop(t)
	seesUnreachable.check(t, p.Wait(), "")
	assert.Contains(t, r.mount.Status(t, id, "error"), "has not")
	assert.Equal(t, []string{id}, r.mount.List(t), "it is listed without the server")

	server.Restart(t)
	hold.Remove()
	r.rightBytes(t, id, r.read(t, id).Wait())
	assert.Empty(t, r.mount.Status(t, id, "error"))
}

// A server that has lost its downloads makes what is not cached ESTALE and
// leaves what is cached readable.
// Proves S-86.
func TestServerForgetsDownloads(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	r := newFaultRig(t, server).mounted(t)
	id, kept := r.done(t), r.done(t)
	want := r.read(t, kept).Wait()
	r.rightBytes(t, kept, want)
	server.Stop(t)
	server.Restart(t)

	seen{errno: syscall.ESTALE}.check(t, r.read(t, id).Wait(), "")
	r.mount.AwaitStatus(t, harness.Timeout, id, "status", "EXPIRED")
	assert.Contains(t, r.mount.Status(t, id, "error"), "ask for the same nodes again")
	assert.Equal(t, want.Stdout, r.read(t, kept).Wait().Stdout)
}
