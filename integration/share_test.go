package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// shareRig is a server, and a store that its mounts share.
type shareRig struct {
	server *harness.Server
	dir    string // of the store
}

// newShareRig starts a server that has large.bin, of size bytes.
func newShareRig(t testing.TB, size int, flags ...string) shareRig {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"large.bin": harness.Noise(7, size), "small.txt": "small\n"})
	return shareRig{harness.StartServer(t, dir, flags...), filepath.Join(harness.Dir(t, harness.User{}), "share")}
}

func (r shareRig) url() string { return "file://" + r.dir }

// mount mounts with the store of the rig.
func (r shareRig) mount(t testing.TB, flags ...string) *harness.Mount {
	t.Helper()
	return harness.StartMount(t, r.server, harness.MountOptions{Flags: append([]string{"--share", r.url()}, flags...), LogLevel: "debug"})
}

// mounts mounts n times at once.
func (r shareRig) mounts(t testing.TB, n int) []*harness.Mount {
	t.Helper()
	ms := make([]*harness.Mount, n)
	for i := range ms {
		ms[i] = r.mount(t)
	}
	return ms
}

// objects returns the store's files whose paths have part in them.
func (r shareRig) objects(t testing.TB, part string) (paths []string) {
	t.Helper()
	_ = filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.Contains(path, part) {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// whole waits until the archive is whole in the store.
func (r shareRig) whole(t testing.TB, id string) {
	t.Helper()
	harness.Eventually(t, harness.Timeout, func() bool { return len(r.objects(t, id+"/done")) == 1 }, "%s is not in the share", id)
}

func (r shareRig) sent(t testing.TB) int64 {
	t.Helper()
	n, _ := r.server.Stats(t)["contentBytes"].(float64)
	return int64(n)
}

func awaitListed(t testing.TB, m *harness.Mount, name string) {
	t.Helper()
	harness.Eventually(t, harness.Timeout, func() bool { return slices.Contains(m.List(t), name) }, "%s is not listed", name)
}

// TestShareTenMounts: what is made on one machine is on ten, under one name, with the
// same nodes. The server sends the archive once, though all ten read it at once. What
// is removed on one is gone on all.
// Proves S-207, S-209.
func TestShareTenMounts(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 40<<20, "--content-rate", "30M")
	ms := r.mounts(t, 10)
	id := submit(t, ms[0], "large.bin")
	ms[0].AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	for _, m := range ms {
		awaitListed(t, m, id)
	}
	ms[3].Sh(t, "mv "+id+" report").OK(t)
	for _, m := range ms {
		awaitListed(t, m, "report")
	}
	var readers []*harness.Process
	for _, m := range ms {
		c := m.Cmd("md5sum < report/archive.zip")
		c.Timeout = 2 * time.Minute
		readers = append(readers, c.Start(t))
	}
	sums := make(map[string]bool)
	for _, p := range readers {
		sums[p.Wait().Out(t)] = true
	}
	size, err := strconv.ParseInt(ms[0].Status(t, "report", "archiveSize"), 10, 64)
	require.NoError(t, err)
	// What was on its way when a stream was closed for another counts too.
	assert.InDelta(t, size, r.sent(t), 8<<20, "bytes that the server sent")
	assert.Equal(t, map[string]bool{archiveMD5(t, r.server, id) + "  -": true}, sums)
	assert.Equal(t, ms[0].Sh(t, "cat report/nodes").Out(t), ms[9].Sh(t, "cat report/nodes").Out(t))
	ms[7].Sh(t, "rmdir report").OK(t)
	for _, m := range ms {
		harness.Eventually(t, harness.Timeout, func() bool { return len(m.List(t)) == 0 }, "it is still listed")
	}
	harness.Eventually(t, harness.Timeout, func() bool {
		return r.server.Status(t, id) == "" && len(r.objects(t, "/archive/")) == 0
	}, "it is still on the server or in the store")
}

// TestSharePolls: ten mounts that wait for a download ask the server about as often as
// one does.
// Proves S-211.
func TestSharePolls(t *testing.T) {
	t.Parallel()
	ask := func(n int) float64 {
		r := newShareRig(t, 8<<20, "--archive-rate", "800K")
		ms := r.mounts(t, n)
		id := submit(t, ms[0], "large.bin")
		var readers []*harness.Process
		for _, m := range ms {
			awaitListed(t, m, id)
			c := m.Cmd("head -c 100 " + id + "/archive.zip | wc -c")
			c.Timeout = 2 * time.Minute
			readers = append(readers, c.Start(t))
		}
		for _, p := range readers {
			assert.Equal(t, "100", p.Wait().Out(t))
		}
		gets, _ := r.server.Stats(t)["get"].(float64)
		return gets
	}
	one, ten := ask(1), ask(10)
	t.Logf("requests for the state of a download: %v of one mount, %v of ten", one, ten)
	require.Positive(t, one)
	assert.LessOrEqual(t, ten, 2*one+10)
}

// TestShareHolderKilled: kill -9 of the mount that fetches an archive for all. Another
// goes on within a minute, and its reader notices nothing but the time.
// Proves S-210.
func TestShareHolderKilled(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 100<<20, "--content-rate", "10M")
	first, second := r.mount(t), r.mount(t)
	id := submit(t, first, "large.bin")
	awaitListed(t, second, id)
	first.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	harness.Eventually(t, harness.Timeout, func() bool { return len(r.objects(t, "/lease/")) > 0 }, "nobody fetches it")
	harness.Eventually(t, harness.Timeout, func() bool { return len(r.objects(t, "/p-")) >= 2 }, "nothing of it is in the store")
	c := second.Cmd("md5sum < " + id + "/archive.zip")
	c.Timeout = 3 * time.Minute
	p := c.Start(t)
	first.Kill9(t)
	first.Detach(t)
	got := p.Wait().Out(t)
	assert.Equal(t, archiveMD5(t, r.server, id)+"  -", got)
	r.whole(t, id)
}

// TestShareOutlivesServer: an archive that the server's cleaner has deleted is there
// for a mount that has never seen it, and the list with it.
// Proves S-214.
func TestShareOutlivesServer(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 20<<20)
	first := r.mount(t)
	id := submit(t, first, "large.bin")
	sum := first.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	r.whole(t, id)
	first.Unmount(t)
	code, _ := r.server.Core(t, "DELETE", "/nodes/"+id+"?permanent=true", nil)
	require.Equal(t, 204, code)
	second := r.mount(t)
	awaitListed(t, second, id)
	assert.Equal(t, sum, second.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))
	assert.Equal(t, "DONE", second.Status(t, id, "status"))
}

// TestShareDamage: damage in the store is never seen in an archive. verify finds it and
// says so, list shows what is there, and prune makes room.
// Proves S-212.
func TestShareDamage(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 40<<20)
	first := r.mount(t)
	id := submit(t, first, "large.bin")
	sum := first.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	r.whole(t, id)
	pieces := r.objects(t, "/p-")
	require.Len(t, pieces, 4)
	for i, path := range pieces {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s is not private", path)
		switch i {
		case 0:
			require.NoError(t, os.Truncate(path, info.Size()/2))
		case 1:
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("damage"), 5<<20)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		case 2:
			require.NoError(t, os.Remove(path))
		}
	}
	second := harness.StartMount(t, r.server, harness.MountOptions{Flags: []string{"--share", r.url()}, Allow: []string{"a piece of an archive in the share is damaged"}})
	awaitListed(t, second, id)
	assert.Equal(t, sum, second.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))

	list := harness.Run(t, harness.Timeout, harness.Binary(), "share", "list", "--share", r.url()).Out(t)
	assert.Contains(t, list, id)
	assert.Contains(t, list, "1 archives")
	verify := harness.Run(t, harness.Timeout, harness.Binary(), "share", "verify", "--share", r.url())
	assert.Equal(t, 1, verify.Code, "%s", verify)
	assert.Contains(t, verify.Stdout, "3 objects damaged")
	third := r.mount(t)
	awaitListed(t, third, id)
	assert.Equal(t, sum, third.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))
	r.whole(t, id)
	assert.Contains(t, harness.Run(t, harness.Timeout, harness.Binary(), "share", "verify", "--share", r.url()).Out(t), "0 objects damaged")
	assert.Contains(t, harness.Run(t, harness.Timeout, harness.Binary(), "share", "prune", "--share", r.url(), "--share-size", "1M").Out(t), "0 archives dropped", "it was written just now")
}

// TestShareHoldsNoSecret: no password or ticket is ever in the store, and accounts do
// not meet there.
// Proves S-215.
func TestShareHoldsNoSecret(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 3<<20)
	m := r.mount(t)
	id := submit(t, m, "large.bin")
	m.Sh(t, "cat "+id+"/archive.zip > /dev/null").OK(t)
	r.whole(t, id)
	m.Unmount(t) // nobody writes any more
	for _, path := range r.objects(t, "") {
		p, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.NotContains(t, string(p), harness.AdminPassword, path)
		assert.NotContains(t, string(p), "TICKET_", path)
		assert.NotContains(t, path, harness.AdminName)
	}
	other := harness.StartMount(t, r.server, harness.MountOptions{Username: "finn", Flags: []string{"--share", r.url()}})
	assert.Empty(t, other.List(t))
}

// TestShareFlags: what cannot be a store is refused before anything is mounted.
// Proves S-230.
func TestShareFlags(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	for url, says := range map[string]string{
		"/tmp/x":                  "is no URL",
		"gopher://x":              "is not one of the stores",
		"file://host/x":           "names no directory",
		"file://user:secret@x/y":  "holds a password",
		"file:///no/such/parent/": "cannot use --share",
		"s3://bucket":             "s3:// is not in this build",
		"gs://user:secret@bucket": "holds a password",
		"s3://key:x/secret@y":     "is no URL",
	} {
		_, failure := harness.TryMount(t, server, harness.MountOptions{Flags: []string{"--share", url}})
		if assert.NotNil(t, failure, url) {
			assert.Contains(t, failure.Line, says, url)
			assert.NotContains(t, failure.Line, "secret")
		}
	}
}

// TestShareOnly: a mount without any content server shows the list and reads the
// archives that are in the store. It can ask for nothing.
// Proves S-217.
func TestShareOnly(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 20<<20)
	first := r.mount(t)
	id, late := submit(t, first, "large.bin"), submit(t, first, "small.txt")
	sum := first.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	first.Sh(t, "mv "+id+" report; cat "+late+"/archive.zip > /dev/null").OK(t)
	r.whole(t, id)
	r.whole(t, late)
	first.Unmount(t)
	r.server.Stop(t)
	m := harness.StartMount(t, r.server, harness.MountOptions{Flags: []string{"--share", r.url(), "--share-only"}, NoLogin: true, Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName}})
	assert.ElementsMatch(t, []string{"report", late}, m.List(t))
	assert.Equal(t, sum, m.Sh(t, "md5sum < report/archive.zip").Out(t))
	refused := m.Sh(t, "echo /small.txt | dd of=new status=none")
	assert.NotZero(t, refused.Code)
	assert.Contains(t, refused.Stderr, "Permission denied")
}
