package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// posixApplies are the tests of go-fuse's POSIX suite that a file system can
// pass in which nobody makes files, with the last word each must have.
var posixApplies = map[string]string{
	"ReadDirConsistency": "--- PASS",
	"Tmpfile":            "does not support O_TMPFILE", // an answer that it allows for
	"FcntlFlockSetLk":    "--- PASS",
	"XAttr":              "does not support xattrs", // another
}

// posixNotKept are the tests that make an empty file, which is an empty request
// list here, and then miss what is not kept of it, with the words that say so.
var posixNotKept = map[string]string{
	"Fallocate":           "should have changed file size",
	"FcntlFlockLocksFile": "returned <nil>, expected EAGAIN", // the kernel's locks let one process have both
	"SymlinkReadlink":     "no such file or directory",       // /foobar is no path of the repository
	"XAttrLarge":          "operation not supported",
}

// TestPOSIX runs the suite in the downloads directory. Most of its tests begin
// with making a directory, a link, or a file that is no request list. They must be
// refused at once, with EPERM, EINVAL or EACCES, which nobody takes for a defect or
// for a call that does not exist. Nothing may be left behind.
// Proves S-29.
func TestPOSIX(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	self, err := os.Executable()
	require.NoError(t, err)
	for name := range posixtest.All {
		r := harness.Cmd{
			Name: self,
			Args: []string{"-test.v", "-test.run=^TestPOSIXChild$/^" + name + "$"},
			Env:  []string{envPOSIX + "=" + m.Downloads},
		}.Run(t)
		require.Contains(t, r.Stdout, "=== RUN   TestPOSIXChild/"+name, "%s", r)
		if word, ok := posixApplies[name]; ok {
			assert.Zero(t, r.Code, "%s", r)
			assert.Contains(t, r.Stdout, word)
			continue
		}
		assert.NotZero(t, r.Code, "%s passes; it applies after all", name)
		if words, ok := posixNotKept[name]; ok {
			assert.Contains(t, r.Stdout, words, name)
			continue
		}
		assert.Regexp(t, `operation not permitted|permission denied|invalid argument|(?i:mkdir) .*: no such file or directory`, r.Stdout, name)
		assert.NotRegexp(t, "panic:|not implemented|input/output error|--- SKIP", r.Stdout, name)
	}
	assert.Equal(t, []string{id}, m.List(t), "something was left behind")
	assert.EqualValues(t, 1, server.Stats(t)["create"], "a test made a download")
}

// TestPOSIXChild is the program that TestPOSIX runs.
func TestPOSIXChild(t *testing.T) {
	dir := os.Getenv(envPOSIX)
	if dir == "" {
		t.Skip("only run by TestPOSIX")
	}
	require.True(t, strings.HasSuffix(dir, "/downloads"), dir)
	for name, test := range posixtest.All {
		t.Run(name, func(t *testing.T) { test(t, dir) })
	}
}
