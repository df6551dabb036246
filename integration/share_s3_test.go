package integration

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// s3Rig is a server, and a bucket of a real S3 server that its mounts share.
type s3Rig struct {
	shareRig // its dir is the bucket's
	s3       *harness.S3
}

// newS3Rig starts both. The server has files of that many bytes. It returns nil where
// the other share of the rows of tables has these tests.
func newS3Rig(t testing.TB, files map[string]int, flags ...string) *s3Rig {
	t.Helper()
	if os.Getenv(harness.EnvBinary) != "" {
		t.Skip("another binary is tested, and no Go may be there to build one with S3")
	}
	if !harness.InShare(t, 1, t.Name()) { // its SDK would have to be compiled for the race detector too
		return nil
	}
	dir := harness.Dir(t, harness.User{})
	tree := make(map[string]string)
	for name, size := range files {
		tree[name] = harness.Noise(uint64(len(name)), size)
	}
	harness.Tree(t, dir, tree)
	s3 := harness.StartS3(t)
	return &s3Rig{shareRig{harness.StartServer(t, dir, flags...), s3.Dir}, s3}
}

// s3Mount is a mount with a way of its own to the store.
type s3Mount struct {
	*harness.Mount
	way *faults.Network
}

// mount mounts with the rig's store. The mount may say that the store is in trouble.
func (r *s3Rig) mount(t testing.TB, flags ...string) s3Mount {
	t.Helper()
	way := faults.NewNetwork(t, r.s3.Addr)
	return s3Mount{r.mountBy(t, way, flags...), way}
}

func (r *s3Rig) mountBy(t testing.TB, way *faults.Network, flags ...string) *harness.Mount {
	t.Helper()
	m := harness.StartMount(t, r.server, harness.MountOptions{
		Binary: harness.TaggedBinary(t, "s3"),
		Flags:  append([]string{"--share", harness.S3URL(way.Addr())}, flags...),
		Env:    harness.S3Env(),
		Allow:  []string{"the share cannot be (used now|reached yet); reading from the content server", "nothing can be put into the share now"},
	})
	t.Cleanup(func() { assert.NotContains(t, m.Log.Text(), harness.S3Secret) })
	return m
}

// read starts to read an archive on all mounts.
func (r *s3Rig) read(t testing.TB, ms []s3Mount, id string) []*harness.Process {
	t.Helper()
	var readers []*harness.Process
	for _, m := range ms {
		c := m.Cmd("md5sum < " + id + "/archive.zip")
		c.Timeout = 2 * time.Minute
		readers = append(readers, c.Start(t))
	}
	return readers
}

// rightBytes checks what the readers of an archive get.
func (r *s3Rig) rightBytes(t testing.TB, readers []*harness.Process, id string) {
	t.Helper()
	want := archiveMD5(t, r.server, id) + "  -"
	for _, p := range readers {
		assert.Equal(t, want, p.Wait().Out(t))
	}
}

// TestShareS3TenMounts: over a real S3 server, the content server sends an archive once
// to ten mounts whose readers wait for it. If some of them cannot reach the store, or
// none can, all the same they get the right bytes, and those that can go on sharing.
// Later they come to the same list.
// Proves S-228.
func TestShareS3TenMounts(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	r := newS3Rig(t, map[string]int{"1.bin": size, "22.bin": size, "333.bin": size}, "--content-rate", "30M", "--archive-rate", "4M")
	if r == nil {
		return
	}
	var ms []s3Mount
	for range 10 {
		ms = append(ms, r.mount(t))
	}
	// What was on its way when a stream was closed for another counts too.
	const slack = 4 << 20
	first := submit(t, ms[0].Mount, "1.bin")
	for _, m := range ms {
		awaitListed(t, m.Mount, first)
	}
	readers := r.read(t, ms, first)
	for _, p := range readers {
		p.Wait().OK(t)
	}
	assert.InDelta(t, size, r.sent(t), slack, "bytes that the server sent")
	r.rightBytes(t, readers, first)

	second, third := submit(t, ms[0].Mount, "22.bin"), submit(t, ms[0].Mount, "333.bin")
	for _, id := range []string{second, third} {
		r.whole(t, id) // who has asked for it fetches it
		for _, m := range ms {
			m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
		}
	}
	t.Log("three mounts lose the store")
	for _, m := range ms[7:9] {
		m.way.Cut()
	}
	ms[9].way.Add(faults.Blackhole(0))
	before := r.sent(t)
	readers = r.read(t, ms, second)
	for _, p := range readers {
		p.Wait().OK(t)
	}
	assert.InDelta(t, 3*size, r.sent(t)-before, 3*slack, "bytes that the server sent to those")
	r.rightBytes(t, readers, second)

	t.Log("all lose it")
	for _, m := range ms[:7] {
		m.way.Cut()
	}
	r.rightBytes(t, r.read(t, ms, third), third)

	t.Log("it is back")
	ms[9].way.Clear()
	for _, m := range ms[:9] {
		m.way.Restore()
	}
	ms[8].Sh(t, "mv "+third+" report").OK(t)
	for _, m := range ms {
		awaitListed(t, m.Mount, "report")
	}
}

// TestShareS3HolderKilled: kill -9 of the mount that fetches an archive for all, in the
// middle. Another goes on, over S3 as over a directory.
// Proves S-228.
func TestShareS3HolderKilled(t *testing.T) {
	t.Parallel()
	r := newS3Rig(t, map[string]int{"large.bin": 60 << 20}, "--content-rate", "6M")
	if r == nil {
		return
	}
	first, second := r.mount(t), r.mount(t)
	id := submit(t, first.Mount, "large.bin")
	awaitListed(t, second.Mount, id)
	first.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	harness.Eventually(t, harness.Timeout, func() bool { return len(r.objects(t, "/p-")) >= 2 }, "nothing of it is in the store")
	c := second.Cmd("md5sum < " + id + "/archive.zip")
	c.Timeout = 3 * time.Minute
	p := c.Start(t)
	first.Kill9(t)
	first.Detach(t)
	require.Empty(t, r.objects(t, id+"/done"), "it was killed too late")
	assert.Equal(t, archiveMD5(t, r.server, id)+"  -", p.Wait().Out(t))
	r.whole(t, id)
}

// TestShareS3LateStore: a mount starts without its store, and shares once the store can
// be reached.
// Proves S-228.
func TestShareS3LateStore(t *testing.T) {
	t.Parallel()
	r := newS3Rig(t, map[string]int{"large.bin": 3 << 20})
	if r == nil {
		return
	}
	way := faults.NewNetwork(t, r.s3.Addr)
	way.Cut()
	m := r.mountBy(t, way)
	id := submit(t, m, "large.bin")
	sum := m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	assert.Equal(t, archiveMD5(t, r.server, id)+"  -", sum)
	assert.Empty(t, r.objects(t, ""))
	way.Restore()
	// Opening it again offers it to the others.
	harness.Eventually(t, harness.Timeout, func() bool {
		m.Sh(t, "head -c 1 "+id+"/archive.zip >/dev/null").OK(t)
		return len(r.objects(t, id+"/done")) == 1
	}, "it is not in the store")
	assert.Empty(t, r.objects(t, "/proof/"))
}

// TestShareS3Refused: a store that overwrites, a bucket that is missing and a login that
// is wrong are told before anything is mounted, and no secret with it.
// Proves S-229, S-230.
func TestShareS3Refused(t *testing.T) {
	t.Parallel()
	r := newS3Rig(t, map[string]int{"small.txt": 1})
	if r == nil {
		return
	}
	// It takes every object, whatever is there, as servers do that ignore If-None-Match.
	careless := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer careless.Close()
	good := harness.S3URL(r.s3.Addr)
	for _, test := range []struct {
		url, says string
		env       []string
	}{
		{url: harness.S3URL(strings.TrimPrefix(careless.URL, "http://")), says: "the store overwrites what it is asked to create only if it is not there yet"},
		{url: strings.Replace(good, harness.S3Bucket, "no-such-bucket", 1), says: "there is no such bucket; check the bucket's name"},
		{url: good, env: []string{"AWS_SECRET_ACCESS_KEY=another-secret"}, says: "the store answers 403 SignatureDoesNotMatch; check"},
		{url: good, env: []string{"AWS_SECRET_ACCESS_KEY="}, says: "no login is known; set AWS_ACCESS_KEY_ID"},
		{url: "s3://key:secret@bucket", says: "holds a password"},
		{url: "s3://key:se/secret@bucket", says: "is no URL"},
		{url: "s3://bucket?secret=secret", says: "has a parameter that s3:// does not take"},
		{url: "s3://bucket?endpoint=http://key:secret@host", says: "has an endpoint that is not a plain URL"},
		{url: "azblob://bucket", says: "azblob:// is not in this build"},
	} {
		_, failure := harness.TryMount(t, r.server, harness.MountOptions{
			Binary: harness.TaggedBinary(t, "s3"),
			Flags:  []string{"--share", test.url},
			Env:    append(harness.S3Env(), test.env...),
		})
		if assert.NotNil(t, failure, test.url) {
			assert.Contains(t, failure.Line, test.says, test.url)
			assert.NotContains(t, failure.Line, "secret@")
			assert.NotContains(t, failure.Line, "=secret")
			assert.NotContains(t, failure.Line, harness.S3Secret)
			assert.NotContains(t, failure.Line, "another-secret")
		}
	}
	assert.Empty(t, r.objects(t, ""))
}

// TestShareS3Only: a mount that only reads writes nothing to the bucket. No login is in
// what others have written there.
// Proves S-230.
func TestShareS3Only(t *testing.T) {
	t.Parallel()
	r := newS3Rig(t, map[string]int{"large.bin": 3 << 20})
	if r == nil {
		return
	}
	first := r.mount(t)
	id := submit(t, first.Mount, "large.bin")
	sum := first.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	r.whole(t, id)
	first.Unmount(t)
	r.server.Stop(t)
	before := r.objects(t, "")
	require.NotEmpty(t, before)
	for _, path := range before {
		text := string(must(os.ReadFile(path))(t))
		assert.NotContains(t, text, harness.S3Secret, path)
		assert.NotContains(t, text, harness.AdminPassword, path)
	}
	m := harness.StartMount(t, r.server, harness.MountOptions{
		Binary:  harness.TaggedBinary(t, "s3"),
		Flags:   []string{"--share", harness.S3URL(r.s3.Addr), "--share-only"},
		NoLogin: true,
		Env:     append(harness.S3Env(), "ALFRESCO_USERNAME="+harness.AdminName),
	})
	awaitListed(t, m, id)
	assert.Equal(t, sum, m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))
	assert.Equal(t, before, r.objects(t, ""))
	list := harness.Cmd{Name: harness.TaggedBinary(t, "s3"), Args: []string{"share", "list", "--share", harness.S3URL(r.s3.Addr)}, Env: harness.S3Env()}.Run(t).Out(t)
	assert.Contains(t, list, id)
}
