package integration

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	r.mounted(t, "--split", "off")
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
	assert.Less(t, time.Since(began), harness.Scaled(5*time.Second))

	const sentence = "the content has 1600009 bytes, which is over the server's size limit of 100000"
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

// TestFileOf4GiB: a file that a server's zip cannot hold is refused when the list is
// closed, with the reason; the server is not asked for it.
// Proves S-101.
func TestFileOf4GiB(t *testing.T) {
	t.Parallel()
	dir := harness.Samples(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "film.mkv"), nil, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(dir, "film.mkv"), 4<<30))
	r := newFaultRig(t, harness.StartServer(t, dir))
	r.mounted(t, "--split", "off")
	res := r.mount.Sh(t, "printf '/film.mkv\\n/"+library+"/report.txt\\n' | dd of=new status=none")
	assert.NotZero(t, res.Code)
	assert.Contains(t, res.Stderr, "File too large")
	assert.Contains(t, r.mount.Sh(t, "cat new").Out(t), `error: create download: the file "film.mkv" has 4294967296 bytes`)
	assert.Zero(t, r.http.Count(faults.Create))
	assert.Empty(t, r.mount.List(t))
}
