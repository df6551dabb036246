package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

const many = 10_000

// submitMany makes many downloads of one node through the mount. Each list names
// another version, which servers ignore: from the same process the same list again
// would ask for nothing.
func submitMany(t *testing.T, m *harness.Mount, nodeID string) {
	t.Helper()
	long(m.Cmd(fmt.Sprintf(`seq %d | xargs -P 8 -n 100 sh -c 'for i; do echo "%s;1.$i" > new || exit 255; done' sh`, many, nodeID))).Run(t).OK(t)
}

// manyPending measures a mount with downloads that the server does not finish.
func manyPending(t *testing.T, u harness.User) []cell {
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"0": harness.Noise(1, 1<<20)})
	s := harness.StartServer(t, dir, "--archive-rate", "100")
	m := mount(t, s, u)
	submitMany(t, m, s.NodeID(t, "0"))

	rate := newFigure("%.1f")
	for range *runs {
		const window = 10 * time.Second
		before := stat(t, s, "total")
		time.Sleep(window)
		rate.add((stat(t, s, "total") - before) / window.Seconds())
	}
	short, long := seconds(), seconds()
	for range *runs {
		r := m.Sh(t, "ls | wc -l")
		require.Equal(t, fmt.Sprint(many+1), r.Out(t))
		short.add(r.Duration.Seconds())
		long.add(m.Sh(t, "ls -l > /dev/null").OK(t).Duration.Seconds())
	}
	memory := resident()
	_, peak := m.Resident(t)
	memory.add(float64(peak) / 1e6)
	return []cell{{rate, ""}, {memory, ""}, {short, "`ls -l` " + long.String()}}
}

// listingRequests counts what listing many finished downloads asks the server.
func listingRequests(t *testing.T, u harness.User) []cell {
	s := harness.StartServer(t, harness.Samples(t))
	m := mount(t, s, u)
	submitMany(t, m, s.NodeID(t, "Sites/press/documentLibrary/report.txt"))
	before := -1.0
	harness.Eventually(t, patience, func() bool {
		now := stat(t, s, "total")
		quiet := now == before
		before = now
		time.Sleep(time.Second)
		return quiet
	}, "the mount goes on asking")
	f := count()
	for range *runs {
		m.Sh(t, "ls > /dev/null && ls -l > /dev/null").OK(t)
		now := stat(t, s, "total")
		f.add(now - before)
		before = now
	}
	return []cell{{f, ""}}
}
