package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"downloadfs/integration/harness"
)

// wake measures how long after the server's DONE a reader of one byte ends, for
// downloads that take from a fraction of a second to half a minute. The server's
// own change is seen by asking it every 5 ms.
func wake(t *testing.T, u harness.User) []cell {
	const rate = 1_000_000
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	sizes := []int{300_000, 700_000, 1_500_000, 3_100_000, 5_300_000, 9_700_000, 16_900_000, 29_300_000}
	for i, n := range sizes {
		files[fmt.Sprint(i)] = harness.Noise(uint64(i), n)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir, "--archive-rate", fmt.Sprint(rate))
	m := mount(t, s, u)
	latencies := milliseconds()
	for range *runs {
		ended := make([]time.Duration, len(sizes))
		var all errgroup.Group
		for i := range sizes {
			id := submit(t, m, s.NodeID(t, fmt.Sprint(i)))
			p := harness.Cmd{User: u, Name: "head", Args: []string{"-c1", m.Downloads + "/" + id + "/archive.zip"}, Timeout: time.Minute}.Start(t)
			all.Go(func() error {
				for s.Status(t, id) != "DONE" {
					time.Sleep(5 * time.Millisecond)
				}
				done := time.Now()
				<-p.Done()
				ended[i] = time.Since(done)
				return nil
			})
		}
		require.NoError(t, all.Wait())
		for _, d := range ended {
			latencies.add(float64(d.Milliseconds()))
		}
	}
	median, worst := milliseconds(), milliseconds()
	median.add(latencies.median())
	worst.add(latencies.quantile(1))
	n := fmt.Sprintf("%d readers", len(latencies.runs))
	return []cell{{median, n}, {worst, n}}
}

// submit makes a download of nodes through the mount and returns its id.
func submit(t *testing.T, m *harness.Mount, nodeID string) string {
	t.Helper()
	return m.Cmd("echo " + nodeID + " > new && cat new").Run(t).Out(t)
}
