package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestShareParts: what the server refuses as too large is got in parts by one machine,
// and all read it: who waits for it there, who comes later, and who has no server.
// Proves S-226.
func TestShareParts(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	alone := harness.StartServer(t, dir, "--max-content-size", siteLimit)
	m := harness.StartMount(t, alone, harness.MountOptions{})
	id := submit(t, m, "Site")
	want := m.Sh(t, "unzip -v "+id+"/archive.zip | grep -v Archive | md5sum").Out(t)
	made, _ := alone.Stats(t)["create"].(float64)
	require.Greater(t, made, 4.0)

	server := harness.StartServer(t, dir, "--max-content-size", siteLimit)
	r := shareRig{server, harness.Dir(t, harness.User{}) + "/share"}
	ms := r.mounts(t, 3)
	id = submit(t, ms[0], "Site")
	var readers []*harness.Process
	for _, m := range ms {
		awaitListed(t, m, id)
		c := m.Cmd("unzip -v " + id + "/archive.zip | grep -v Archive | md5sum; md5sum < " + id + "/archive.zip")
		c.Timeout = 3 * time.Minute
		readers = append(readers, c.Start(t))
	}
	sums := make(map[string]bool)
	for _, p := range readers {
		sums[p.Wait().Out(t)] = true
	}
	require.Len(t, sums, 1)
	for sum := range sums {
		assert.Contains(t, sum, want)
	}
	stats := server.Stats(t)
	assert.Equal(t, made, stats["create"], "more than one machine got the parts")
	r.whole(t, id)
	for _, m := range ms {
		m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
		m.Unmount(t)
	}
	server.Stop(t)
	only := harness.StartMount(t, server, harness.MountOptions{Flags: []string{"--share", r.url(), "--share-only"}, NoLogin: true, Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName}})
	assert.Equal(t, []string{id}, only.List(t))
	for sum := range sums {
		assert.Equal(t, sum, only.Sh(t, "unzip -v "+id+"/archive.zip | grep -v Archive | md5sum; md5sum < "+id+"/archive.zip").Out(t))
	}
}
