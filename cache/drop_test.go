package cache

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A Drop in the middle of a read costs that read nothing, is no fault of the
// disk's, and leaves no file behind, whichever of them is first at the file.
// Proves S-41.
func TestDropWhileReading(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	handler := slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelWarn})
	c := openCache(t, t.TempDir(), &fakeSource{}, func(cfg *Config) { cfg.Logger = slog.New(handler) })
	a := info("dropped", 5000)
	for range 1000 {
		h := openArchive(t, c, a)
		var dropping sync.WaitGroup
		dropping.Go(func() {
			time.Sleep(rand.N(400 * time.Microsecond)) // when the first block comes
			assert.NoError(t, c.Drop(a.ID))
		})
		readAll(t, h, a, 0, a.Size)
		dropping.Wait()
		require.NoError(t, h.Close())
		require.NoError(t, c.Drop(a.ID))
	}
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(c.disk.files())
		return err == nil && len(left) == 0
	}, 5*time.Second, time.Millisecond, "files that nobody removes")
	require.Eventually(t, func() bool { return c.Usage().Used <= c.indexSize.Load() }, 5*time.Second, time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, log.String())
}

// lockedWriter is a log that several goroutines write to.
type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
