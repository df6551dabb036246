package integration

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// slow starts a server that zips the sample photos in about three seconds, so that
// a tool finds their archive pending and then done.
func slow(t testing.TB) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Samples(t), "--archive-rate", "500000")
}

// neverDone starts a server that does not finish zipping its folder "scans" while
// a test runs, which takes it 20 minutes: parallel subtests may have to wait long for
// their turn. It is of many small files, since a server that zips looks whether
// it is to stop at the start of each file.
func neverDone(t testing.TB) *harness.Server {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	for i := range 3000 {
		files[fmt.Sprintf("scans/%04d.tif", i)] = harness.Noise(uint64(i), 2000)
	}
	harness.Tree(t, dir, files)
	return harness.StartServer(t, dir, "--archive-rate", "5000")
}

// submit makes a download of what lies at the paths of the repository, relative
// to its root, and returns its id.
func submit(t testing.TB, m *harness.Mount, paths ...string) string {
	t.Helper()
	return m.Create(t, "/"+strings.Join(paths, "\n/")+"\n")
}

// archiveMD5 returns the MD5 sum of a download's archive as the server sends it.
func archiveMD5(t testing.TB, s *harness.Server, id string) string {
	t.Helper()
	code, body := s.Core(t, "GET", "/nodes/"+id+"/content", nil)
	require.Equal(t, http.StatusOK, code, "%.1000s", body)
	return fmt.Sprintf("%x", md5.Sum(body))
}
