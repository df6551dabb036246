package integration

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestUnseenCallers: where the mount is in a pid namespace of its own, as a
// container's, and cannot see who uses it, a list written by several programs is
// one download, a killed writer's none, and looking around does not wait.
// Proves S-99.
func TestUnseenCallers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a pid namespace needs root")
	}
	s := slow(t)
	m := harness.StartMount(t, s, harness.MountOptions{PIDNamespace: true,
		Allow: []string{"a request list was given up", "a request list was refused after its last writer"}})
	photos, report := s.NodeID(t, photos), s.NodeID(t, "Sites/press/documentLibrary/report.txt")

	id := m.Sh(t, `{ /bin/echo `+photos+`; /bin/echo `+report+`; } > new; cat new`).Out(t)
	require.Equal(t, []string{id}, m.List(t), "one download, there at once")
	assert.Equal(t, photos+"\n"+report, m.Sh(t, "cat "+id+"/nodes").Out(t))

	took := time.Hour
	for range 3 {
		looked := m.Sh(t, `ls -l `+id)
		assert.Contains(t, looked.Out(t), "archive.zip")
		took = min(took, looked.Duration)
	}
	assert.Less(t, took, harness.Scaled(time.Second))

	m.Sh(t, `sh -c 'echo `+report+`; kill -KILL $$' > new; true`).OK(t)
	assert.Equal(t, "error: the process that wrote the request list was killed", m.Sh(t, "cat new").Out(t))
	assert.Equal(t, []string{id}, m.List(t), "half a list asks for nothing")

	m.Sh(t, "rm -r "+id).OK(t)
	assert.Empty(t, m.List(t))
}
