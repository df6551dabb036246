package integration

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// TestWaitOpen: with --wait open, looking at a pending archive itself does not wait
// either; opening it does, and who does so gets the right bytes.
// Proves S-15.
func TestWaitOpen(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t)))
	pending := r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("IN_PROGRESS")})
	r.mounted(t, "--wait", "open")
	id := r.create(t)
	for script, want := range map[string]string{
		"stat -c %s " + id + "/archive.zip": `^[1-9]\d*\n$`,
		"ls -l " + id + "/archive.zip":      `^-rw------- .* [1-9]\d* .* ` + id + `/archive\.zip\n$`,
	} {
		// It would wait for as long as the server says that the zip is not done.
		took := time.Hour
		for range 5 {
			got := r.mount.Sh(t, script).OK(t)
			assert.Regexp(t, want, got.Stdout)
			took = min(took, got.Duration)
		}
		assert.Less(t, took, browseLimit, script)
	}
	dir := harness.Dir(t, harness.User{})
	readers := []*harness.Process{
		r.read(t, id),
		r.mount.Cmd("exec cp " + id + "/archive.zip " + dir + "/cp.zip").Start(t),
		r.mount.Cmd("exec cat " + id + "/archive.zip > " + dir + "/cat.zip").Start(t),
	}
	for _, p := range readers {
		p.Blocked(t)
	}
	require.Equal(t, "IN_PROGRESS", r.mount.Status(t, id, "status"))
	pending.Remove()
	r.rightBytes(t, id, readers[0].Wait())
	for _, p := range readers[1:] {
		p.Wait().OK(t)
	}
	whole := fetch(t, r.server, id)
	whole.assertCopy(t, filepath.Join(dir, "cp.zip"))
	whole.assertCopy(t, filepath.Join(dir, "cat.zip"))
}
