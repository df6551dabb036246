package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestNeighbourIsLockedOut: another user of the machine, root's mount or not,
// reads neither the mount nor the state, the cache or the credentials.
// Proves S-63.
func TestNeighbourIsLockedOut(t *testing.T) {
	t.Parallel()
	neighbour := harness.Nobody(t)
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)
	for _, script := range []string{
		"ls " + m.Path,
		"cat " + m.Downloads + "/" + id + "/status",
		"echo x > " + m.Downloads + "/new",
		"ls " + m.StateDir,
		"ls " + m.CacheDir,
		fmt.Sprintf("cat /proc/%d/environ", m.Pid()),
	} {
		r := harness.ShAs(t, neighbour, script)
		assert.NotZero(t, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, "ermission denied", script)
		assert.Empty(t, r.Stdout, script)
	}
	for _, dir := range []string{m.StateDir, m.CacheDir} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			info, err := e.Info()
			require.NoError(t, err)
			assert.Zero(t, info.Mode().Perm()&0o077, "%s: %v", path, info.Mode())
			return nil
		}))
	}
}

// TestAllowOtherOnlyReads: with --allow-other a neighbour reads, waits and
// unpacks, but neither creates nor cancels nor renames.
// Proves S-63.
func TestAllowOtherOnlyReads(t *testing.T) {
	t.Parallel()
	neighbour := harness.Nobody(t)
	server := slow(t)
	m := harness.StartMount(t, server, harness.MountOptions{Flags: []string{"--allow-other"}})
	id := submit(t, m, "Sites/press/documentLibrary/photos")
	as := func(script string) harness.Result {
		return harness.ShAs(t, neighbour, "cd "+m.Downloads+" && "+script)
	}
	sum := as("md5sum < " + id + "/archive.zip").Out(t)
	assert.Equal(t, archiveMD5(t, server, id)+"  -", sum)
	assert.Contains(t, as("cat "+id+"/status").Out(t), "status: DONE")
	as("cat ../README " + id + "/nodes").OK(t)
	creates := server.Stats(t)["create"]
	for _, script := range []string{
		"echo /Sites > new",
		"cat new",
		"rm -r " + id,
		"rmdir " + id,
		"rm -f " + id + "/archive.zip",
		"mv " + id + " mine",
		"mkdir 5d4c9f0e-0000-4000-8000-000000000000",
		"touch " + id + "/x",
		"chmod 777 " + id,
		"truncate -s 0 " + id + "/archive.zip",
		"truncate -s 0 new",
	} {
		r := as(script)
		assert.NotZero(t, r.Code, "%s", r)
		assert.Regexp(t, "ermission denied|not permitted", r.Stderr, script)
	}
	assert.Equal(t, creates, server.Stats(t)["create"], "downloads made")
	assert.Equal(t, []string{id}, m.List(t))
	assert.Equal(t, "DONE", server.Status(t, id))
}

// TestForeignStateDir: a state or cache directory that another user has prepared
// is not used.
// Proves S-64.
func TestForeignStateDir(t *testing.T) {
	t.Parallel()
	neighbour := harness.Nobody(t)
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{})
	entries, err := os.ReadDir(m.StateDir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	for _, flag := range []string{"state", "cache"} {
		t.Run(flag, func(t *testing.T) {
			shared := harness.Dir(t, harness.User{})
			require.NoError(t, os.Chmod(shared, 0o777|os.ModeSticky))
			harness.ShAs(t, neighbour, "mkdir -m 755 "+shared+"/"+entries[0].Name()).OK(t)
			o := harness.MountOptions{StateDir: shared}
			if flag == "cache" {
				o = harness.MountOptions{CacheDir: shared}
			}
			_, failure := harness.TryMount(t, server, o)
			require.NotNil(t, failure, "it mounted")
			assert.Contains(t, failure.Line, "belongs to another user")
			info, err := os.Stat(shared)
			require.NoError(t, err)
			assert.EqualValues(t, syscall.S_ISVTX|0o777, info.Sys().(*syscall.Stat_t).Mode&0o7777, "the shared directory was changed")
		})
	}
}
