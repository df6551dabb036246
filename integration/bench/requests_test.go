package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// statusRequests counts the status requests for one download that takes 30 s
// and that 50 readers wait for.
func statusRequests(t *testing.T, u harness.User) []cell {
	const rate, waiters = 1_000_000, 50
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	for i := range 3 {
		files[fmt.Sprintf("folder/%d", i)] = harness.Noise(uint64(i), 10*rate)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir, "--archive-rate", fmt.Sprint(rate))
	m := mount(t, s, u)
	requests := count()
	before := stat(t, s, "get")
	start := time.Now()
	id := submit(t, m, s.NodeID(t, "folder"))
	long(m.Cmd(fmt.Sprintf(`for i in $(seq %d); do head -c1 %s/archive.zip >/dev/null & done; wait`, waiters, id))).Run(t).OK(t)
	requests.add(stat(t, s, "get") - before)
	return []cell{{requests, fmt.Sprintf("took %.0f s", time.Since(start).Seconds())}}
}

// listArchive measures unzip -l of an archive that is not cached.
func listArchive(t *testing.T, u harness.User) []cell {
	const entries = 20_000
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	for i := range entries {
		files[fmt.Sprintf("folder/a document with a name of some length %d.txt", i)] = harness.Noise(uint64(i), 3000)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir)
	id := zipped(t, s, "folder")
	directory := centralDirectorySize(t, s, id)
	requests, beyond := count(), newFigure("%.2f MB")
	for range *runs {
		m := mount(t, s, u)
		adopt(t, m, id)
		n, bytes := stat(t, s, "content"), stat(t, s, "contentBytes")
		lines := m.Cmd("unzip -l " + id + "/archive.zip | tail -n 1").Run(t).Out(t)
		require.True(t, strings.HasSuffix(lines, fmt.Sprintf("%d files", entries+1)), lines)
		m.Unmount(t) // what was asked for in the background is counted as well
		requests.add(stat(t, s, "content") - n)
		beyond.add((stat(t, s, "contentBytes") - bytes - float64(directory)) / 1e6)
	}
	return []cell{{requests, ""}, {beyond, fmt.Sprintf("central directory %.2f MB", float64(directory)/1e6)}}
}

// centralDirectorySize reads the end of central directory record of an archive.
func centralDirectorySize(t *testing.T, s *harness.Server, id string) uint32 {
	t.Helper()
	code, body := s.Core(t, "GET", "/nodes/"+id+"/content", nil)
	require.Equal(t, http.StatusOK, code)
	const recordLen = 22
	require.Greater(t, len(body), recordLen, io.ErrUnexpectedEOF)
	record := body[len(body)-recordLen:]
	require.Equal(t, "PK\x05\x06", string(record[:4]))
	return binary.LittleEndian.Uint32(record[12:])
}
