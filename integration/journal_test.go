package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

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
