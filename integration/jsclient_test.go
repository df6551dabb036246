package integration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestJSClient: Alfresco's own JavaScript client, unchanged, logs in, finds
// nodes, and makes, polls, reads and cancels downloads on serve.
// Proves S-91.
func TestJSClient(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs("jsclient")
	require.NoError(t, err)
	require.DirExists(t, filepath.Join(dir, "node_modules"), "run: scripts/setup test")
	for _, name := range []string{harness.AdminName, harness.UserName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "500K")
			r := harness.Cmd{
				Dir:  dir,
				Env:  []string{"ALFRESCO_USERNAME=" + name, "ALFRESCO_PASSWORD=" + harness.PasswordOf(name)},
				Name: "node",
				Args: []string{"client.mjs", s.URL, photos + "/2026", photos},
			}.Run(t).OK(t)
			assert.Equal(t, "ok\n", r.Stdout)
			stats := s.Stats(t)
			assert.EqualValues(t, 5, stats["create"], "requests to create a download")
			assert.EqualValues(t, 1, stats["cancel"])
		})
	}
}
