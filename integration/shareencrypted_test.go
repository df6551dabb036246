package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

func (r shareRig) command(t testing.TB, flags ...string) harness.Result {
	t.Helper()
	return harness.Run(t, harness.Timeout, harness.Binary(), append(append([]string{"share"}, flags...), "--share", r.url())...)
}

func makeKey(t testing.TB) string {
	t.Helper()
	path := filepath.Join(harness.Dir(t, harness.User{}), "key")
	harness.Run(t, harness.Timeout, harness.Binary(), "share", "keygen", path).OK(t)
	return path
}

// TestShareEncrypted: with a key, nobody without it can see what is in the store, nor
// use it. Who has another key, or none, is told so before anything is mounted, and
// cannot drop anything. Damage is found all the same.
// Proves S-221, S-222.
func TestShareEncrypted(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 20<<20)
	key, other := makeKey(t), makeKey(t)
	info, err := os.Stat(key)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
	again := harness.Run(t, harness.Timeout, harness.Binary(), "share", "keygen", key)
	assert.Equal(t, 2, again.Code, "%s", again)

	first := r.mount(t, "--share-key-file", key)
	id, small := submit(t, first, "large.bin"), submit(t, first, "small.txt")
	sum := first.Sh(t, "mv "+small+" Layoffs; cat Layoffs/archive.zip >/dev/null; md5sum < "+id+"/archive.zip").Out(t)
	r.whole(t, id)
	r.whole(t, small)
	require.NotEmpty(t, r.objects(t, "/list/"))
	first.Unmount(t) // nobody writes while its objects are read
	secret, err := os.ReadFile(key)
	require.NoError(t, err)
	noise := harness.Noise(7, 4096)[3000:3100]
	for _, path := range r.objects(t, "") {
		p, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(p[4:]), "age-encryption.org/v1\n"), path)
		for _, plain := range []string{noise, "small", "large", "Layoffs", id, harness.AdminName} {
			assert.NotContains(t, string(p), plain, path)
		}
		assert.NotContains(t, path, "Layoffs")
	}
	sent := r.sent(t)
	second := r.mount(t, "--share-key-file", key)
	awaitListed(t, second, "Layoffs")
	assert.Equal(t, sum, second.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))
	assert.Equal(t, sent, r.sent(t), "the second mount asked the server")
	for _, m := range []*harness.Mount{first, second} {
		assert.NotContains(t, m.Log.Text(), "AGE-SECRET-KEY")
	}

	open := filepath.Join(harness.Dir(t, harness.User{}), "key")
	require.NoError(t, os.WriteFile(open, secret, 0o600))
	require.NoError(t, os.Chmod(open, 0o640))
	garbage := filepath.Join(harness.Dir(t, harness.User{}), "key")
	require.NoError(t, os.WriteFile(garbage, secret[:len(secret)-3], 0o600))
	plain := newShareRig(t, 1<<20)
	plain.mount(t)
	for _, c := range []struct {
		rig   shareRig
		flags []string
		says  string
	}{
		{r, nil, "the share is encrypted; mount with its --share-key-file"},
		{r, []string{"--share-key-file", other}, "encrypted with another key"},
		{r, []string{"--share-key-file", open}, "run: chmod 600 " + open},
		{r, []string{"--share-key-file", garbage}, "cannot use --share-key-file"},
		{r, []string{"--share-key-file", garbage + ".missing"}, "cannot read --share-key-file"},
		{plain, []string{"--share-key-file", key}, "the share is not encrypted"},
	} {
		_, failure := harness.TryMount(t, c.rig.server, harness.MountOptions{Flags: append([]string{"--share", c.rig.url()}, c.flags...), LogLevel: "warn"})
		if assert.NotNil(t, failure, c.says) {
			assert.Contains(t, failure.Line, c.says)
			assert.Equal(t, 2, failure.Code, "%s", failure.Line)
			assert.NotContains(t, failure.Line, string(secret[len(secret)-20:len(secret)-4]))
		}
	}

	list := r.command(t, "list", "--share-key-file", key).Out(t)
	assert.Contains(t, list, "large.bin.zip")
	assert.Contains(t, r.command(t, "verify", "--share-key-file", key).Out(t), "0 objects damaged")
	before := len(r.objects(t, "/archive/"))
	damaged := r.objects(t, id+"/p-")[0]
	f, err := os.OpenFile(damaged, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("damage"), 5<<20)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, flags := range [][]string{nil, {"--share-key-file", other}} {
		assert.Contains(t, r.command(t, append([]string{"list"}, flags...)...).Out(t), "of another key")
		assert.Contains(t, r.command(t, append([]string{"verify"}, flags...)...).Out(t), "2 archives of another key left alone")
		assert.Contains(t, r.command(t, append([]string{"prune", "--age", "1ns", "--share-size", "0"}, flags...)...).Out(t), "1 accounts of another key left alone")
	}
	assert.Len(t, r.objects(t, "/archive/"), before)
	assert.Contains(t, r.command(t, "verify", "--share-key-file", key).Stdout, "1 objects damaged")
}
