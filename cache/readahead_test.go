package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// readAsKernel reads the whole archive in order as a kernel does for one reader:
// several requests of a given length at a time, which arrive in any order.
func readAsKernel(ctx context.Context, h download.Archive, a download.ArchiveInfo, length int64, parallel int) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range parallel {
		g.Go(func() error {
			p, want := make([]byte, length), make([]byte, length)
			for {
				off := next.Add(length) - length
				if off >= a.Size {
					return nil
				}
				if err := checkRead(ctx, h, a, p, want, off); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// TestKernelReadAhead: requests that arrive out of order are one sequential
// reader; nothing is fetched twice for it, on disk or in memory, with one stream
// or with four.
func TestKernelReadAhead(t *testing.T) {
	size := int64(200 * BlockSize)
	if raceEnabled {
		size /= 4
	}
	for _, limit := range []int64{0, 1} {
		for _, lanes := range []int{1, 4} {
			for _, length := range []int64{128 << 10, 384 << 10, 1 << 20} {
				t.Run(fmt.Sprintf("limit %d lanes %d length %d", limit, lanes, length), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						src := &fakeSource{pace: limitPerStream(100e6)}
						c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = limit; cfg.Streams = lanes })
						c.lanes.n, c.lanes.check = lanes, time.Now().Add(time.Hour)
						a := info("kernel", size)
						h := openArchive(t, c, a)
						start := time.Now()
						require.NoError(t, readAsKernel(t.Context(), h, a, length, 3))
						took := time.Since(start)
						require.NoError(t, h.Close())
						require.NoError(t, c.Close())
						total, twice := src.bytes(a.ID)
						t.Logf("%v, %.2f of one stream's rate, %d requests, %d twice", took, float64(a.Size)/took.Seconds()/100e6, src.count(), twice)
						require.Less(t, float64(total), 1.02*float64(a.Size))
						require.Zero(t, twice)
					})
				})
			}
		}
	}
}
