package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// adoptLimit is how long mkdir, and with it everybody who lists the directory, may
// wait for a server that does not answer.
var adoptLimit = harness.Scaled(10 * time.Second)

// TestAdoptWithoutAnswer: the kernel lets nobody list a directory while a mkdir in
// it is going on. So who adopts a download of a server that does not answer is let
// go soon, however long readers would wait for it; it is listed when the server is
// back.
// Proves S-27.
func TestAdoptWithoutAnswer(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	network := faults.NewNetwork(t, strings.TrimPrefix(s.URL, "http://"))
	m := harness.StartMount(t, s, harness.MountOptions{URL: network.URL(), Allow: []string{`"level":"WARN"`}})
	const n = 50
	document := s.NodeID(t, library+"/report.txt")
	ids := strings.Fields(m.Sh(t, fmt.Sprintf("for i in $(seq %d); do echo '%s;1.'$i > new && cat new || exit; done", n, document)).Out(t))
	require.Len(t, ids, n)
	code, body := s.Core(t, "POST", "/downloads", fmt.Appendf(nil, `{"nodeIds":[%q]}`, document))
	require.Equal(t, http.StatusAccepted, code, "%s", body)
	var elsewhere struct{ Entry struct{ ID string } }
	require.NoError(t, json.Unmarshal(body, &elsewhere))

	restore := network.Add(faults.Blackhole(0))
	mkdir := m.Cmd("exec mkdir " + elsewhere.Entry.ID).Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return mkdir.BlockedThreads() > 0 }, "mkdir does not wait")
	var lookers []*harness.Process
	for _, script := range []string{"ls -l", "ls -lR", "du -a", "find . -ls", "head */status"} {
		lookers = append(lookers, m.Cmd(script).Start(t))
	}
	for _, p := range lookers {
		r := p.Wait().OK(t)
		for _, id := range ids {
			assert.Contains(t, r.Stdout, id, r.Cmd)
		}
		assert.Less(t, r.Duration, adoptLimit, r.Cmd)
	}
	r := mkdir.Wait()
	assert.Equal(t, 1, r.Code, "%s", r)
	assert.Regexp(t, "Connection timed out|No route to host", r.Stderr)
	assert.Less(t, r.Duration, adoptLimit)

	restore()
	harness.Eventually(t, harness.Timeout, func() bool { return slices.Contains(m.List(t), elsewhere.Entry.ID) }, "the adoption is forgotten")
	m.Sh(t, "unzip -tq "+elsewhere.Entry.ID+"/archive.zip").OK(t)
}
