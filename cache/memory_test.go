package cache

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// memoryChild names the variable that makes the test binary a process that does
// nothing but read; its value is the cache's limit.
const memoryChild = "DOWNLOADFS_CACHE_MEMORY"

// TestMemoryChild is the process that TestMemory measures; it is no test by itself.
func TestMemoryChild(t *testing.T) {
	limit, err := strconv.ParseInt(os.Getenv(memoryChild), 10, 64)
	if err != nil {
		t.Skip("only runs as a child of TestMemory")
	}
	size, err := strconv.ParseInt(os.Getenv(memoryChild+"_SIZE"), 10, 64)
	require.NoError(t, err)
	c, err := Open(Config{
		Dir: t.TempDir(), Size: limit, Source: &memorySource{block: make([]byte, BlockSize)},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			a := info(fmt.Sprintf("memory-%d", i), size)
			h, err := c.Open(a)
			if err != nil {
				return err
			}
			p := make([]byte, 128<<10)
			for off := int64(0); off < size; off += int64(len(p)) {
				if _, err := h.ReadAt(context.Background(), p, off); err != nil {
					return err
				}
			}
			return h.Close()
		})
	}
	require.NoError(t, g.Wait())
	require.NoError(t, c.Close())
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	fmt.Printf("%s\n", regexp.MustCompile(`VmHWM:.*`).Find(status))
}

// TestMemory: the peak of a process that streams eight archives of 2 GB at a time
// to readers, where nothing can be kept, is below 64 MB; so it is where all is kept.
// Proves S-48.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skipf("no way to know the peak: %v", err)
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	for name, mode := range map[string]struct{ limit, size int64 }{
		"memory": {1, 2 << 30},
		"disk":   {100 << 30, 128 << 20},
	} {
		if testing.Short() {
			mode.size /= 8
		}
		cmd := exec.Command(exe, "-test.run=^TestMemoryChild$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", memoryChild, mode.limit), fmt.Sprintf("%s_SIZE=%d", memoryChild, mode.size))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
		require.NotNil(t, m, "%s", out)
		peak, err := strconv.ParseInt(string(m[1]), 10, 64)
		require.NoError(t, err)
		t.Logf("%s: %d kB", name, peak)
		require.Less(t, peak*1024, int64(64e6))
	}
}
