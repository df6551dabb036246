package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestJournal: what was made, renamed and pending when the mount was killed or
// unmounted is there after the next mount, and finishes.
// Proves S-31.
func TestJournal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(*testing.T, *harness.Mount)
	}{
		{"kill -9", func(t *testing.T, m *harness.Mount) { m.Kill9(t) }},
		{"unmount", func(t *testing.T, m *harness.Mount) { m.Unmount(t) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := slow(t)
			m := harness.StartMount(t, server, harness.MountOptions{})
			done := submit(t, m, "Sites/press/documentLibrary/report.txt")
			m.Sh(t, "unzip -tq "+done+"/archive.zip").OK(t)
			renamed := submit(t, m, "Sites/press/documentLibrary/empty.txt")
			m.Sh(t, "mv "+renamed+" 'q3 report'").OK(t)
			removed := submit(t, m, "Sites/press/documentLibrary/report.txt")
			m.Sh(t, "rm -r "+removed).OK(t)
			cancelled := submit(t, m, "Sites/press/documentLibrary/photos")
			m.Sh(t, "unlink "+cancelled+"/archive.zip").OK(t)
			pending := submit(t, m, "Sites/press/documentLibrary/photos", "Sites/press/documentLibrary/report.txt")
			inodes := m.Sh(t, "ls -i "+pending+" 'q3 report'").Out(t)

			tc.end(t, m)
			m.Remount(t)

			names := strings.Fields(strings.ReplaceAll(m.Sh(t, "ls").Out(t), "q3 report", "q3_report"))
			assert.ElementsMatch(t, []string{"new", done, "q3_report", cancelled, pending}, names)
			assert.Equal(t, inodes, m.Sh(t, "ls -i "+pending+" 'q3 report'").Out(t), "inode numbers")
			assert.Contains(t, m.Sh(t, "cat "+cancelled+"/status").Out(t), "status: CANCELLED")
			for id, name := range map[string]string{done: done, renamed: "'q3 report'", pending: pending} {
				sum := m.Sh(t, "md5sum < "+name+"/archive.zip").Out(t)
				assert.Equal(t, archiveMD5(t, server, id)+"  -", sum, name)
			}
			assert.Len(t, strings.Fields(m.Sh(t, "cat "+pending+"/nodes").Out(t)), 2)
			harness.Eventually(t, harness.Timeout, func() bool { return server.Status(t, removed) == "" },
				"the removal was forgotten")
		})
	}
}

// Without its journal a mount acknowledges nothing, since no next mount would know of it.
// Proves S-235.
func TestStateIsDeleted(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{Allow: []string{"it was deleted or moved away"}})
	id := submit(t, m, library+"/report.txt")
	m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)
	moved := m.StateDir + "-moved"
	require.NoError(t, os.Rename(m.StateDir, moved))

	list := harness.Dir(t, harness.User{}) + "/list"
	require.NoError(t, os.WriteFile(list, []byte("/"+library+"/empty.txt\n"), 0o600))
	refused := func() {
		for op, script := range map[string]string{
			"create": "cp " + list + " new",
			"rename": "mv " + id + " 'q3 report'",
			"remove": "rmdir " + id,
		} {
			r := m.Sh(t, script)
			assert.Equal(t, 1, r.Code, "%s", r)
			assert.Contains(t, r.Stderr, "Input/output error", "%s", r)
			m.Log.AwaitRecord(t, harness.Timeout, op, func(r harness.Record) bool {
				return r.String("level") == "ERROR" && r.String("op") == op && strings.Contains(r.String("err"), "; move it back, or unmount and mount again")
			})
		}
		assert.Contains(t, m.Sh(t, "cat new").Out(t), "move it back")
		assert.ElementsMatch(t, []string{"new", id}, strings.Fields(m.Sh(t, "ls").Out(t)))
	}
	refused()
	harness.Eventually(t, harness.Timeout, func() bool {
		stats := server.Stats(t)
		return stats["create"] == 2.0 && stats["delete"] == 1.0
	}, "what was refused is left on the server")

	// Nothing is lost if it is moved back.
	require.NoError(t, os.Rename(moved, m.StateDir))
	m.Sh(t, "mv "+id+" 'q3 report'").OK(t)
	m.Unmount(t)
	m.Remount(t)
	assert.Equal(t, "new\nq3 report", m.Sh(t, "ls").Out(t))

	m.Sh(t, "mv 'q3 report' "+id).OK(t)
	require.NoError(t, os.RemoveAll(m.StateDir))
	refused()
}
