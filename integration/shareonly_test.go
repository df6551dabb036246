package integration

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// contents returns what every file of the store holds, and when it was written.
func (r shareRig) contents(t testing.TB) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, path := range r.objects(t, "") {
		info, err := os.Stat(path)
		require.NoError(t, err)
		p, err := os.ReadFile(path)
		require.NoError(t, err)
		all[path] = info.ModTime().String() + string(p)
	}
	return all
}

// TestShareOnlyUndoes: with --share-only, what is removed or renamed comes back, and
// nothing changes in the store.
// Proves S-217.
func TestShareOnlyUndoes(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 3<<20)
	first := r.mount(t)
	id, small := submit(t, first, "large.bin"), submit(t, first, "small.txt")
	sum := first.Sh(t, "mv "+id+" report; cat "+small+"/archive.zip >/dev/null; md5sum < report/archive.zip").Out(t)
	r.whole(t, id)
	r.whole(t, small)
	first.Unmount(t)
	r.server.Stop(t)
	before := r.contents(t)

	url := r.url()
	if (harness.User{}).Root() && runtime.GOOS == "linux" {
		// As a volume that a container has for reading only.
		volume := harness.Dir(t, harness.User{})
		harness.Run(t, harness.Timeout, "mount", "--bind", r.dir, volume).OK(t)
		t.Cleanup(func() { harness.Run(t, harness.Timeout, "umount", volume).OK(t) })
		harness.Run(t, harness.Timeout, "mount", "-o", "remount,bind,ro", volume).OK(t)
		url = "file://" + volume
	}
	m := harness.StartMount(t, r.server, harness.MountOptions{Flags: []string{"--share", url, "--share-only"}, NoLogin: true, Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName}})
	want := m.List(t)
	require.ElementsMatch(t, []string{"report", small}, want)
	m.Sh(t, "mv "+small+" mine").OK(t)
	harness.Eventually(t, harness.Timeout, func() bool { return slices.Contains(m.List(t), small) }, "the name does not come back")
	m.Sh(t, "cat report/archive.zip >/dev/null; rm report/archive.zip; rmdir report").OK(t)
	began := time.Now()
	harness.Eventually(t, harness.Timeout, func() bool { return slices.Contains(m.List(t), "report") }, "the download does not come back")
	t.Logf("removed, it is listed again after %v", time.Since(began).Round(time.Millisecond))
	assert.ElementsMatch(t, want, m.List(t))
	assert.Equal(t, sum, m.Sh(t, "md5sum < report/archive.zip").Out(t))
	m.Unmount(t)
	assert.Equal(t, before, r.contents(t))
}
