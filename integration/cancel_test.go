package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// reportErrno opens an archive, once it has said ready, and prints the name of
// the errno it got.
const reportErrno = `exec python3 -c '
import errno, os, sys
print("ready", flush=True)
try:
    os.open(sys.argv[1], os.O_RDONLY)
except OSError as e:
    print(errno.errorcode[e.errno])
' `

// TestCancel: each way of removing a running download cancels it on the server
// and releases everybody who waits for it.
// Proves S-21, S-22.
func TestCancel(t *testing.T) {
	t.Parallel()
	server := neverDone(t)
	web := faults.NewServer(t, server.URL) // passes everything on, and keeps who asked for what
	m := harness.StartMount(t, server, harness.MountOptions{URL: web.URL()})
	for _, tc := range []struct {
		name, script string
		entryStays   bool
	}{
		{"rmdir", `rmdir "$id"`, false},
		{"rm -r", `rm -r "$id"`, false},
		{"rm -rf", `rm -rf "$id"`, false},
		{"python rmtree", `python3 -c 'import shutil, sys; shutil.rmtree(sys.argv[1])' "$id"`, false},
		{"gio remove", `gio remove "$id/archive.zip" && gio remove "$id"`, false},
		{"rm archive.zip", `rm "$id/archive.zip"`, true},
		{"unlink archive.zip", `unlink "$id/archive.zip"`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			id := submit(t, m, "scans")
			var readers []*harness.Process
			for range 3 {
				p := m.Cmd(reportErrno + id + "/archive.zip").Start(t)
				harness.Eventually(t, harness.Timeout, func() bool { return p.Output() != "" }, "not ready")
				p.Blocked(t)
				readers = append(readers, p)
			}
			m.Sh(t, "id="+id+"; "+tc.script).OK(t)
			released := time.Now()
			for _, p := range readers {
				assert.Equal(t, "ready\nECANCELED", p.Wait().Out(t))
			}
			assert.Less(t, time.Since(released), harness.Scaled(2*time.Second))

			if tc.entryStays {
				assert.Contains(t, m.Sh(t, "cat "+id+"/status").Out(t), "status: CANCELLED")
				harness.Eventually(t, harness.Timeout, func() bool { return server.Status(t, id) == "CANCELLED" },
					"the server does not show CANCELLED but %q", server.Status(t, id))
				m.Sh(t, "rm -r "+id).OK(t)
			}
			assert.NotContains(t, m.Sh(t, "ls").Out(t), id)
			harness.Eventually(t, harness.Timeout, func() bool {
				code, _ := server.Core(t, "GET", "/nodes/"+id, nil)
				return code == http.StatusNotFound
			}, "the node is still on the server")
			harness.Eventually(t, harness.Timeout, func() bool { return accepted(web, faults.Delete, id) > 0 }, "nobody has deleted it")
			cancelled := accepted(web, faults.Cancel, id)
			require.NotZero(t, cancelled, "the server was not asked to cancel it")
			assert.Less(t, cancelled, accepted(web, faults.Delete, id), "it was deleted before it was cancelled")
		})
	}
}

// accepted returns which request was the first of its kind for a download that the
// server took, counted from 1; 0 if there was none.
func accepted(s *faults.Server, kind faults.Kind, id string) int {
	return 1 + slices.IndexFunc(s.Requests(faults.Any), func(q faults.Record) bool {
		return q.Kind == kind && strings.HasSuffix(q.Path, "/"+id) && q.Status >= 200 && q.Status < 300
	})
}

// TestRemoveDone: removing a finished download frees the server's storage.
// Proves S-23.
func TestRemoveDone(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	m.Sh(t, "unzip -tq "+id+"/archive.zip && rm -r "+id).OK(t)
	harness.Eventually(t, harness.Timeout, func() bool { return server.Status(t, id) == "" }, "the download is still on the server")
}

// TestRemoveWhileReading: what is open when its entry is removed can be read to
// the end, as everywhere in Unix, though not all of it was fetched yet.
// Proves S-24.
func TestRemoveWhileReading(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t), "--content-rate", "1000000")
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/photos")
	m.Sh(t, "unzip -l "+id+"/archive.zip").OK(t)
	want := archiveMD5(t, server, id)
	got := m.Sh(t, "exec 3<"+id+"/archive.zip; rm -r "+id+"; md5sum <&3").Out(t)
	assert.Equal(t, want+"  -", got)
	harness.Eventually(t, harness.Timeout, func() bool { return server.Status(t, id) == "" }, "the download is still on the server")
}

// TestMoveOut: mv takes the archive out of the mount and leaves the entry.
// Proves S-25.
func TestMoveOut(t *testing.T) {
	t.Parallel()
	server := slow(t)
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/photos")
	dir := harness.Dir(t, m.User)
	m.Sh(t, "mv "+id+"/archive.zip "+dir+"/").OK(t)
	sum := harness.Run(t, harness.Timeout, "md5sum", dir+"/archive.zip").Out(t)
	assert.Equal(t, archiveMD5(t, server, id)+"  "+dir+"/archive.zip", sum)
	status := m.Sh(t, "cat "+id+"/status").Out(t)
	assert.Contains(t, status, "status: DONE")
	require.Contains(t, status, "cachedBytes: 0\n")
}
