package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newNetwork(t testing.TB) *Network {
	return NewNetwork(t, strings.TrimPrefix(archiveServer(t), "http://"))
}

func TestNetworkToxics(t *testing.T) {
	cases := []struct {
		name    string
		toxic   Toxic
		atLeast time.Duration
		atMost  time.Duration
		fails   bool
	}{
		{"latency", Latency(150*time.Millisecond, 0), 150 * time.Millisecond, 3 * time.Second, false},
		{"latency upstream", Latency(150*time.Millisecond, 0).Upstream(), 150 * time.Millisecond, 3 * time.Second, false},
		{"bandwidth", Bandwidth(200), 250 * time.Millisecond, 3 * time.Second, false}, // 65 kB
		{"slicer", Slicer(1000, 2*time.Millisecond), 100 * time.Millisecond, 3 * time.Second, false},
		{"slow close", SlowClose(50 * time.Millisecond), 0, 3 * time.Second, false},
		{"limit data", LimitData(30_000), 0, 3 * time.Second, true},
		{"reset peer", ResetPeer(), 0, 3 * time.Second, true},
		{"black hole", Blackhole(0), askTimeout - 100*time.Millisecond, askTimeout + 5*time.Second, true},
		{"black hole with an end", Blackhole(300 * time.Millisecond), 250 * time.Millisecond, 3 * time.Second, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t)
			remove := n.Add(c.toxic)
			began := time.Now()
			got := ask(t, n.URL(), Content, "")
			took := time.Since(began)
			assert.Equal(t, c.fails, got.err != nil, "%v", got.err)
			if !c.fails {
				assert.Equal(t, archive, got.body)
			}
			assert.GreaterOrEqual(t, took, c.atLeast)
			assert.LessOrEqual(t, took, c.atMost)

			remove()
			again := ask(t, n.URL(), Content, "")
			require.NoError(t, again.err)
			assert.Equal(t, archive, again.body)
		})
	}
}

func TestNetworkCutAndRestore(t *testing.T) {
	n := newNetwork(t)
	addr := n.Addr()
	for range 3 {
		require.NoError(t, ask(t, n.URL(), Get, "").err)
		n.Cut()
		require.ErrorContains(t, ask(t, n.URL(), Get, "").err, "refused")
		n.Restore()
	}
	assert.Equal(t, addr, n.Addr())
	n.Add(Blackhole(0))
	n.Clear()
	require.NoError(t, ask(t, n.URL(), Get, "").err)
}
