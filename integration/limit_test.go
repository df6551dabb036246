package integration

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// TestContentTooLarge: content over the server's limit releases who waits for its
// archive with EFBIG, and status says how much is too much.
// Proves S-14.
func TestContentTooLarge(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t), "--max-content-size", "100000"))
	unknown := r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("PENDING")})
	r.mounted(t)
	id := r.create(t)
	readers := []*harness.Process{r.read(t, id), r.mount.Cmd("exec stat -c %s " + id + "/archive.zip").Start(t)}
	for _, p := range readers {
		p.Blocked(t)
	}
	unknown.Remove()
	began := time.Now()
	tooLarge := seen{errno: syscall.EFBIG}
	for _, p := range readers {
		tooLarge.check(t, p.Wait(), "")
	}
	assert.Less(t, time.Since(began), 5*time.Second)

	const sentence = "the content has 1600009 bytes, which is over the server's limit of 100000"
	assert.Equal(t, "MAX_CONTENT_SIZE_EXCEEDED", r.mount.Status(t, id, "status"))
	assert.Equal(t, sentence, r.mount.Status(t, id, "error"))
	assert.Contains(t, r.mount.Sh(t, "cat "+id+"/status.json").Out(t), `"error": "`+sentence+`"`)
	tooLarge.check(t, r.read(t, id).Wait(), "")

	// Asking for less is not too much, and what was too much can be looked at and
	// removed.
	small := submit(t, r.mount, library+"/report.txt")
	r.rightBytes(t, small, r.read(t, small).Wait())
	r.mount.Sh(t, "ls -l "+id+"/archive.zip && rm -r "+id).OK(t)
	r.forgotten(t, id)
}
