package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was waited for, what was here and what was evicted is counted.
func TestTraffic(t *testing.T) {
	src := &fakeSource{}
	c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = 12 << 20 })
	first, second := info("first", 6*BlockSize), info("second", 6*BlockSize)
	h := openArchive(t, c, first)
	assert.Zero(t, c.Traffic())
	readAll(t, h, first, 0, BlockSize)
	got := c.Traffic()
	assert.Positive(t, got.Misses)
	pieces := got.Hits + got.Misses
	assert.EqualValues(t, BlockSize/(128<<10), pieces, "each piece of the reads is one or the other")
	readAll(t, h, first, 0, BlockSize)
	assert.Equal(t, got.Misses, c.Traffic().Misses, "it was here")
	assert.Equal(t, got.Hits+pieces, c.Traffic().Hits)
	readAll(t, h, first, 0, first.Size)
	assert.Zero(t, c.Traffic().Waiting)
	// All of it is on the disk, and then nobody uses it: so it can be evicted.
	is := func(what func(a *archive) bool) func() bool {
		return func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return what(c.archives[first.ID])
		}
	}
	require.Eventually(t, is(func(a *archive) bool { return a.charged >= first.Size }), time.Minute, time.Millisecond)
	require.NoError(t, h.Close())
	require.Eventually(t, is(func(a *archive) bool { return a.refs == a.held }), time.Minute, time.Millisecond)
	assert.Zero(t, c.Traffic().Evictions)
	readAll(t, openArchive(t, c, second), second, 0, second.Size)
	require.Eventually(t, func() bool { return c.Traffic().Evictions == 1 }, 5*time.Second, time.Millisecond, "there is no room for both")
}
