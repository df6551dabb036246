package integration

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestBandwidth: a mount fetches within its limit, goes on at once when it is lifted in
// the middle of a read, and the bytes are right. Asking for a state does not wait.
// Proves S-197.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"big.bin": harness.Noise(3, 8<<20), "small.bin": harness.Noise(4, 1000)})
	server := harness.StartServer(t, dir)
	m := harness.StartMount(t, server, harness.MountOptions{Flags: []string{"--bandwidth", "64K", "--prefetch", "off"}})
	command := func(args ...string) harness.Result {
		t.Helper()
		return harness.Cmd{Name: harness.Binary(), Args: append([]string{"bandwidth"}, args...)}.Run(t)
	}
	require.Equal(t, "64K", m.Sh(t, "cat ../.bandwidth").Out(t))
	require.Contains(t, command().Out(t), m.Path+": 64K")

	id := submit(t, m, "big.bin")
	began := time.Now()
	reader := m.Cmd("exec md5sum " + id + "/archive.zip").Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return statsOf(t, m).Fetched > 0 }, "nothing is fetched")
	other := submit(t, m, "small.bin") // is made although the line is full
	m.AwaitStatus(t, harness.Timeout, other, "status", "DONE")
	got := statsOf(t, m)
	allowed := int64(time.Since(began).Seconds()*(64<<10)) + 64<<10
	assert.LessOrEqual(t, got.Fetched, allowed, "within the limit")
	assert.EqualValues(t, 64<<10, got.Bandwidth)
	require.True(t, reader.Running(), "8 MiB take two minutes")

	for _, args := range [][]string{{"5Mbit", m.Path}, {"10", m.Path}} {
		r := command(args...)
		assert.Equal(t, 2, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, "write bytes a second like 500K or 5M, or off")
	}
	m.Log.Allow("value refused")
	assert.NotZero(t, m.Sh(t, "echo fast > ../.bandwidth").Code)
	assert.EqualValues(t, 64<<10, statsOf(t, m).Bandwidth)

	harness.StartMount(t, server, harness.MountOptions{})
	r := command("5M")
	assert.Equal(t, 2, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "several are mounted; name which: ")
	assert.EqualValues(t, 64<<10, statsOf(t, m).Bandwidth)

	command("off", m.Path).OK(t)
	assert.Equal(t, archiveMD5(t, server, id)+"  "+id+"/archive.zip", reader.Wait().Out(t))
	assert.Less(t, time.Since(began), harness.Scaled(time.Minute), "did not go on by the new limit")
	assert.Equal(t, "off", m.Sh(t, "cat ../.bandwidth").Out(t))
	m.Sh(t, "echo 3M > ../.bandwidth").OK(t)
	assert.Equal(t, "3145728", strconv.FormatInt(statsOf(t, m).Bandwidth, 10))
}

// TestBandwidthOfGet: get has the flag too.
func TestBandwidthOfGet(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"half.bin": harness.Noise(3, 512<<10)})
	server := harness.StartServer(t, dir)
	began := time.Now()
	harness.Cmd{
		Name: harness.Binary(), Dir: harness.Dir(t, harness.User{}),
		Args: []string{"get", "--server", server.URL, "--bandwidth", "256K", "--state-dir", harness.Dir(t, harness.User{}), "/half.bin"},
		Env:  []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.PasswordOf(harness.AdminName)},
	}.Run(t).OK(t)
	assert.GreaterOrEqual(t, time.Since(began), 1700*time.Millisecond, "half a megabyte takes two seconds")
}
