package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

const askAgain = "the server has deleted the download; ask for the same nodes again"

// TestCleanerDeletesPending: the server's cleaner does not ask whether somebody
// waits; who does gets ESTALE.
// Proves S-43.
func TestCleanerDeletesPending(t *testing.T) {
	t.Parallel()
	age := harness.Scaled(3 * time.Second) // the mount is to see it before: who has just asked gets more time
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "10K", "--download-max-age", age.String())
	m := harness.StartMount(t, s, harness.MountOptions{})
	id := m.Create(t, s.NodeID(t, photos))
	seen{errno: syscall.ESTALE, after: age}.check(t, m.Sh(t, "cat "+id+"/archive.zip"), "")
	assert.Equal(t, "EXPIRED", m.Status(t, id, "status"))
	assert.Equal(t, askAgain, m.Status(t, id, "error"))
	assert.Empty(t, s.Status(t, id))
}

// TestCleanerLeavesTheCache: of the archives that the server's cleaner has deleted,
// those that are whole in the cache stay readable, after a remount too; the others
// are EXPIRED and ESTALE.
// Proves S-43.
func TestCleanerLeavesTheCache(t *testing.T) {
	t.Parallel()
	dir, data := harness.Samples(t), harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"large.bin": harness.Noise(1, 16<<20)})
	// So slow that the large one is not whole when its reader gives up.
	young := harness.StartServer(t, dir, "--data-dir", data, "--content-rate", "2M")
	r := newFaultRig(t, young).mounted(t)
	kept, lost, part := r.done(t), r.done(t), submit(t, r.mount, "large.bin")
	read := r.read(t, kept).Wait()
	r.rightBytes(t, kept, read)
	r.mount.AwaitStatus(t, harness.Timeout, kept, "cachedBytes", r.mount.Status(t, kept, "archiveSize"))
	r.mount.Sh(t, "head -c 1000 "+part+"/archive.zip > /dev/null").OK(t)

	// The same server an hour later: to its cleaner, all of them are old.
	young.Stop(t)
	old := harness.StartServer(t, dir, "--data-dir", data, "--download-max-age", "40ms")
	harness.Eventually(t, harness.Timeout, func() bool {
		return old.Status(t, kept)+old.Status(t, lost)+old.Status(t, part) == ""
	}, "the cleaner does not run")
	r.http.SetUpstream(old.URL)

	check := func() {
		t.Helper()
		for _, id := range []string{lost, part} {
			seesExpired.check(t, r.read(t, id).Wait(), "")
			r.mount.AwaitStatus(t, harness.Timeout, id, "status", "EXPIRED")
			assert.Equal(t, askAgain, r.mount.Status(t, id, "error"))
		}
		assert.Equal(t, read.Stdout, r.read(t, kept).Wait().OK(t).Stdout, "not the bytes of before")
		assert.ElementsMatch(t, []string{kept, lost, part}, r.mount.List(t))
	}
	check()
	r.mount.Unmount(t)
	r.mount.Remount(t)
	check()

	// The way out that the sentence names.
	again := r.mount.Sh(t, "cp "+lost+"/nodes new && cat new").Out(t)
	assert.NotEqual(t, lost, again)
}
