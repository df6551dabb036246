package cache

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The data file is closed with the last handle. Who opens the archive at that moment gets
// a file that stays open.
// Proves S-39.
func TestOpenedWhileClosing(t *testing.T) {
	var log logBuffer
	src := &fakeSource{}
	c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Logger, cfg.flushAfter = log.logger(), time.Millisecond })
	a := info("closing", 3*BlockSize)
	readWhole(t, c, a)
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.active) == 0 // nor does the keeper have it
	}, 20*time.Second, time.Millisecond)
	fetched := src.count()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				h, err := c.Open(a)
				if !assert.NoError(t, err) {
					return
				}
				file, ok := h.File(BlockSize, 1)
				runtime.Gosched()
				if assert.True(t, ok) {
					_, err = file.ReadAt(make([]byte, 1), BlockSize)
					assert.NoError(t, err)
				}
				assert.NoError(t, h.Close())
			})
		}
		readers.Wait()
	}
	assert.Equal(t, fetched, src.count(), "a block was fetched again")
	assert.NotContains(t, log.String(), "WARN")
}
