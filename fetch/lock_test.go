package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// One try has a record at a time, and the lock leaves nothing behind.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "get", "r")
	release, err := Lock(path)
	require.NoError(t, err)
	_, err = Lock(path)
	require.ErrorIs(t, err, download.ErrLocked)
	release()

	var holders, had atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				release, err := Lock(path)
				if errors.Is(err, download.ErrLocked) {
					continue
				}
				if assert.NoError(t, err) {
					assert.EqualValues(t, 1, holders.Add(1), "two have it")
					had.Add(1)
					holders.Add(-1)
					release()
				}
			}
		})
	}
	all.Wait()
	assert.Positive(t, had.Load())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Empty(t, entries)
}
