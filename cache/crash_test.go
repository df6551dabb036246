package cache

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// crashChild names the variable that makes the test binary a process that reads
// through a cache until it is killed; its value is the directory.
const crashChild = "DOWNLOADFS_CACHE_CRASH"

// crashArchives are what that process reads.
func crashArchives() []download.ArchiveInfo {
	var all []download.ArchiveInfo
	for i, size := range []int64{1, BlockSize + 3, 9*BlockSize - 1, 30 * BlockSize, 64*BlockSize + 12345} {
		all = append(all, info(fmt.Sprintf("crash-%d", i), size))
	}
	return all
}

// crashLimit returns the cache's limit in a round: with and without eviction.
func crashLimit(round int) int64 {
	if round%3 == 2 {
		return 50 * BlockSize
	}
	return 1 << 30
}

// TestCrashChild is the process that TestCrash kills; it is no test by itself.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashChild)
	if dir == "" {
		t.Skip("only runs as a child of TestCrash")
	}
	limit, err := strconv.ParseInt(os.Getenv(crashChild+"_LIMIT"), 10, 64)
	require.NoError(t, err)
	c, err := Open(Config{
		Dir: dir, Size: limit, Source: &fakeSource{pace: limitPerStream(100e6)},
		Logger: slog.New(slog.DiscardHandler), flushAfter: 5 * time.Millisecond,
	})
	require.NoError(t, err)
	fmt.Println("ready")
	var g errgroup.Group
	for _, a := range crashArchives() {
		c.Prefetch(a)
		g.Go(func() error {
			r := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for {
				h, err := c.Open(a)
				if err != nil {
					return err
				}
				if err := modelReader(t.Context(), r, h, a, 50); err != nil {
					return err
				}
				if err := h.Close(); err != nil {
					return err
				}
				if r.IntN(20) == 0 {
					if err := c.Drop(a.ID); err != nil {
						return err
					}
				}
			}
		})
	}
	t.Fatal(g.Wait())
}

// TestCrash kills a process that reads through the cache at random moments. What
// it leaves is opened again: every byte is right, nothing that the index claimed is
// fetched again, and the limit holds.
func TestCrash(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	if s := os.Getenv("DOWNLOADFS_CRASH_ROUNDS"); s != "" {
		var err error
		rounds, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	r := random(t)
	dir := t.TempDir()
	kept := int64(0)
	for round := range rounds {
		limit := crashLimit(round)
		cmd := exec.Command(exe, "-test.run=^TestCrashChild$", "-test.v")
		cmd.Env = append(os.Environ(), crashChild+"="+dir, fmt.Sprintf("%s_LIMIT=%d", crashChild, limit))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		lines := bufio.NewReader(out)
		var said []byte
		for {
			line, err := lines.ReadBytes('\n')
			said = append(said, line...)
			require.NoError(t, err, "%s", said)
			if string(line) == "ready\n" {
				break
			}
		}
		time.Sleep(time.Duration(r.IntN(250)) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		require.Error(t, cmd.Wait())
		require.NotContains(t, string(rest), "FAIL")

		var logged logBuffer
		src := &fakeSource{}
		c := openCache(t, dir, src, func(cfg *Config) { cfg.Size = limit; cfg.Logger = logged.logger() })
		require.NoError(t, c.unusable)
		use, err := diskUse(dir)
		require.NoError(t, err)
		require.LessOrEqual(t, use, limit)
		claimed := make(map[download.ID]int64)
		for _, a := range crashArchives() {
			claimed[a.ID] = c.Cached(a.ID)
			kept += claimed[a.ID]
		}
		res, err := c.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, res.Damaged, "round %d", round)
		for _, a := range crashArchives() {
			h := openArchive(t, c, a)
			readAll(t, h, a, 0, a.Size)
			require.NoError(t, h.Close())
		}
		require.NoError(t, c.Close())
		require.NotContains(t, logged.String(), "damaged")
		if limit == 1<<30 { // nothing was evicted meanwhile
			for _, a := range crashArchives() {
				total, twice := src.bytes(a.ID)
				require.Equal(t, a.Size-claimed[a.ID], total, "round %d: %s", round, a.ID)
				require.Zero(t, twice)
			}
		}
		if round%2 == 1 { // sometimes begin with little
			c = openCache(t, dir, nil)
			require.NoError(t, c.Drop("crash-4"))
			require.NoError(t, c.Drop("crash-1"))
			require.NoError(t, c.Close())
		}
	}
	t.Logf("%d MiB were kept over %d kills", kept>>20, rounds)
	require.NotZero(t, kept)
}
