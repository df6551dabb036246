package fs

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

func TestFailedRead(t *testing.T) {
	began := time.Now()
	now := began.Add(2 * longRead)
	var f failedRead
	require.Zero(t, f.covers(0, now))
	require.Zero(t, f.add(0, 100, now.Add(-longRead/2), now, syscall.EIO).covers(0, now), "it was quick")
	require.Zero(t, f.add(0, 100, began, now, syscall.EINTR).covers(0, now))
	f = f.add(0, 100, began, now, syscall.EHOSTUNREACH).add(100, 200, began, now, syscall.EHOSTUNREACH)
	for off, want := range map[int64]syscall.Errno{0: syscall.EHOSTUNREACH, 199: syscall.EHOSTUNREACH, 200: 0} {
		require.Equal(t, want, f.covers(off, now), "%d", off)
	}
	require.Zero(t, f.covers(0, now.Add(failedFor)))
}

// A reader whose read-ahead fails does not wait twice, though the kernel asks
// twice; the next reader has the server asked again.
func TestFailedReadAheadWaitsOnce(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, _ := m.archive(1 << 20)
	var reads atomic.Int32
	m.domain.script(func(*fakeDomain) {
		d.onRead = func(context.Context, int64) error {
			reads.Add(1)
			time.Sleep(longRead + 100*time.Millisecond)
			return download.ErrUnavailable
		}
	})
	d.finish(file, false)
	began := time.Now()
	out, err := m.sh("exec cat $D/d1/archive.zip")
	require.Error(t, err)
	require.Contains(t, out, "No route to host")
	require.Less(t, time.Since(began), 2*longRead)
	asked := reads.Load()
	_, err = m.sh("exec cat $D/d1/archive.zip")
	require.Error(t, err)
	require.Greater(t, reads.Load(), asked)
}
