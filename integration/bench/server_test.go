package bench

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// noiseFile writes a file of n bytes that cannot be compressed.
func noiseFile(t *testing.T, path string, n int64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	block := []byte(harness.Noise(uint64(len(path)), 1<<20))
	for seed := uint64(1); n > 0; seed++ {
		// Each block differs, so that nothing can be served twice from one.
		copy(block, harness.Noise(seed, 64))
		m := min(n, int64(len(block)))
		_, err := f.Write(block[:m])
		require.NoError(t, err)
		n -= m
	}
}

// noiseServer serves files of n bytes each, named 0, 1, ….
func noiseServer(t *testing.T, files int, n int64, flags ...string) *harness.Server {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	for i := range files {
		noiseFile(t, filepath.Join(dir, string(rune('0'+i))), n)
	}
	return harness.StartServer(t, dir, append(flags, "--max-content-size", "8G")...)
}

// create asks the server itself for a download and returns its id.
func create(t *testing.T, s *harness.Server, nodeIDs ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"nodeIds": nodeIDs})
	require.NoError(t, err)
	code, answer := s.Core(t, "POST", "/downloads", body)
	require.Equal(t, http.StatusAccepted, code, "%s", answer)
	var entry struct{ Entry struct{ ID string } }
	require.NoError(t, json.Unmarshal(answer, &entry))
	return entry.Entry.ID
}

// zipped asks the server for a download of a node and waits until it is DONE.
func zipped(t *testing.T, s *harness.Server, path string) string {
	t.Helper()
	id := create(t, s, s.NodeID(t, path))
	harness.Eventually(t, 5*time.Minute, func() bool { return s.Status(t, id) == "DONE" }, "not zipped: %s", path)
	return id
}

// stat returns one of the server's counters.
func stat(t *testing.T, s *harness.Server, name string) float64 {
	t.Helper()
	v, ok := s.Stats(t)[name].(float64)
	require.True(t, ok, "no counter %s", name)
	return v
}

// adopt makes a download of the server's an entry of the mount.
func adopt(t *testing.T, m *harness.Mount, id string) {
	t.Helper()
	m.Sh(t, "mkdir "+id).OK(t)
}

// mount mounts quietly, without the background fetch, which would compete with
// what is measured.
func mount(t *testing.T, s *harness.Server, u harness.User, flags ...string) *harness.Mount {
	t.Helper()
	return harness.StartMount(t, s, harness.MountOptions{
		User:     u,
		LogLevel: "info",
		Flags:    append([]string{"--prefetch", "off", "--cache-size", "20G"}, flags...),
	})
}

// long gives a tool as much time as a large read may take.
func long(c harness.Cmd) harness.Cmd {
	c.Timeout = patience
	return c
}
