package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestBrokenStreamsGoOnAtTheByte: however often the connection breaks, no byte
// is delivered twice.
// Proves S-40.
func TestBrokenStreamsGoOnAtTheByte(t *testing.T) {
	for _, end := range []error{errBroken, io.EOF, fmt.Errorf("nothing came: %w", download.ErrUnavailable)} {
		r := random(t)
		var mu sync.Mutex
		src := &fakeSource{cut: func(q request) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			return 1 + r.Int64N(300_000), end
		}}
		c := openCache(t, t.TempDir(), src)
		a := info("broken", 12*BlockSize+99)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		require.NoError(t, h.Close())
		require.NoError(t, c.Close())
		total, twice := src.bytes(a.ID)
		require.Equal(t, a.Size, total)
		require.Zero(t, twice)
	}
}

// TestEmptyStreams: a stream that brings nothing is opened again a few times,
// then the reader is told that the server is unavailable; the next read tries anew.
func TestEmptyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var empty atomic.Int64
		empty.Store(3)
		src := &fakeSource{cut: func(request) (int64, error) {
			if empty.Add(-1) >= 0 {
				return 0, io.EOF
			}
			return -1, nil
		}}
		c := openCache(t, t.TempDir(), src)
		a := info("empty", BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)

		b := info("always-empty", BlockSize)
		h = openArchive(t, c, b)
		empty.Store(1 << 40)
		_, err := h.ReadAt(t.Context(), make([]byte, 10), 0)
		require.ErrorIs(t, err, download.ErrUnavailable)
		empty.Store(0)
		readAll(t, h, b, 0, b.Size)
	})
}

// TestSourceErrors: what the source says for good reaches the reader at once, and
// only the reader that asked.
func TestSourceErrors(t *testing.T) {
	for given, want := range map[error]error{
		download.ErrChanged:      download.ErrChanged,
		download.ErrNotFound:     download.ErrExpired,
		download.ErrForbidden:    download.ErrForbidden,
		download.ErrUnauthorized: download.ErrUnauthorized,
		download.ErrUnavailable:  download.ErrUnavailable,
		download.ErrProtocol:     download.ErrProtocol,
	} {
		var fail atomic.Bool
		src := &fakeSource{hook: func(_ context.Context, q request) error {
			if fail.Load() {
				return fmt.Errorf("stream %s: %w", q.id, given)
			}
			return nil
		}}
		c := openCache(t, t.TempDir(), src)
		a := info("failing", 40*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, 1000)
		fail.Store(true)
		before := src.count()
		n, err := h.ReadAt(t.Context(), make([]byte, 100), 20*BlockSize)
		require.ErrorIs(t, err, want)
		require.Zero(t, n)
		require.LessOrEqual(t, src.count()-before, 2) // the read, and the tail if it was not asked for yet
		readAll(t, h, a, 0, 1000)                     // what is there stays readable
		fail.Store(false)
		readAll(t, h, a, 20*BlockSize, 21*BlockSize)
	}
}

// TestSourcePanics: a panic in the source is an error of that read.
func TestSourcePanics(t *testing.T) {
	var fail atomic.Bool
	fail.Store(true)
	src := &fakeSource{hook: func(context.Context, request) error {
		if fail.Load() {
			panic("out of cheese")
		}
		return nil
	}}
	c := openCache(t, t.TempDir(), src)
	a := info("panic", 100)
	h := openArchive(t, c, a)
	_, err := h.ReadAt(t.Context(), make([]byte, 10), 0)
	require.ErrorIs(t, err, download.ErrProtocol)
	require.ErrorContains(t, err, "out of cheese")
	fail.Store(false)
	readAll(t, h, a, 0, a.Size)
}

// TestReadersShareOneFetch: many readers of the same bytes cost one request, and
// one that gives up does not disturb the others.
// Proves S-39.
func TestReadersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(1e6)}
		c := openCache(t, t.TempDir(), src)
		a := info("shared", 3*BlockSize)
		g, ctx := errgroup.WithContext(t.Context())
		for range 50 {
			h := openArchive(t, c, a)
			g.Go(func() error { return checkRange(ctx, h, a, 0, a.Size) })
		}
		h := openArchive(t, c, a)
		quit, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := h.ReadAt(quit, make([]byte, BlockSize), 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		require.NoError(t, g.Wait())
		require.Len(t, src.requests, 1)
	})
}

// TestBytesAreServedAsTheyArrive: a reader does not wait for the end of a block.
func TestBytesAreServedAsTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(BlockSize)} // a second per block
		c := openCache(t, t.TempDir(), src)
		a := info("arriving", 2*BlockSize)
		h := openArchive(t, c, a)
		start := time.Now()
		readAll(t, h, a, 0, 128<<10)
		require.Less(t, time.Since(start), 200*time.Millisecond)
		readAll(t, h, a, 128<<10, 256<<10)
		require.Less(t, time.Since(start), 300*time.Millisecond)
	})
}

// TestReadAheadIsBounded: a reader that stops is not run away from, and when it
// has closed the archive its streams end.
func TestReadAheadIsBounded(t *testing.T) {
	for name, size := range map[string]int64{"disk": 0, "memory": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &fakeSource{pace: limitPerStream(50e6)}
				c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = size; cfg.Streams = 1 })
				a := info("ahead", 500*BlockSize)
				h := openArchive(t, c, a)
				readAll(t, h, a, 0, 20*BlockSize)
				time.Sleep(5 * time.Second)
				require.Equal(t, 1, src.openBodies())
				_ = h.Close()
				time.Sleep(3 * time.Second)
				require.Zero(t, src.openBodies())
				total, _ := src.bytes(a.ID)
				require.LessOrEqual(t, total, int64((20+1+diskWindow+1)*BlockSize))
				require.GreaterOrEqual(t, total, int64(25*BlockSize))
			})
		})
	}
}

// TestIdleStreamEnds: a connection is not kept for a reader that has stopped, and
// the reader goes on when it likes.
func TestIdleStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(50e6)}
		c := openCache(t, t.TempDir(), src)
		a := info("idle", 100*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, 20*BlockSize)
		time.Sleep(20 * time.Second)
		require.Zero(t, src.openBodies())
		readAll(t, h, a, 20*BlockSize, a.Size)
		_ = h.Close()
		time.Sleep(5 * time.Second)
		total, twice := src.bytes(a.ID)
		require.Equal(t, a.Size, total)
		require.Zero(t, twice)
	})
}

// TestFarSeekOpensAnotherStream: a seek over a long way does not wait for what
// lies between; a seek over a short way does not cost a request.
func TestFarSeekOpensAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(10e6)}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Streams = 1 })
		a := info("seek", 400*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, 2*BlockSize)
		start := time.Now()
		readAll(t, h, a, 300*BlockSize, 300*BlockSize+1000)
		require.Less(t, time.Since(start), 200*time.Millisecond)

		readAll(t, h, a, 300*BlockSize, 310*BlockSize)
		before := src.count()
		readAll(t, h, a, 311*BlockSize, 312*BlockSize)
		require.Equal(t, before, src.count())
	})
}

// TestListingAnArchive does what `unzip -l` does on an archive with a central
// directory of several MB: the end record, then the directory. Few requests, and
// hardly more bytes than the directory has.
func TestListingAnArchive(t *testing.T) {
	for name, directory := range map[string]int64{"20,000 entries": 2_400_000, "long names": 9_000_000, "few entries": 9_000} {
		synctest.Test(t, func(t *testing.T) {
			src := &fakeSource{pace: limitPerStream(20e6)}
			c := openCache(t, t.TempDir(), src)
			a := info("listed", 700*BlockSize+12345)
			h := openArchive(t, c, a)
			readAll(t, h, a, (a.Size-66000)&^4095, a.Size)
			p, want := make([]byte, 32<<10), make([]byte, 32<<10)
			for off := (a.Size - directory) &^ 4095; off < a.Size; off += int64(len(p)) {
				require.NoError(t, checkRead(t.Context(), h, a, p, want, off))
			}
			require.NoError(t, h.Close())
			time.Sleep(5 * time.Second)
			total, twice := src.bytes(a.ID)
			t.Logf("%s: %d requests, %d bytes", name, src.count(), total)
			require.LessOrEqual(t, src.count(), 3)
			require.LessOrEqual(t, total, directory+2<<20)
			require.Zero(t, twice)
			asked := int64(0)
			for _, r := range src.requests {
				asked += r.end - r.off
			}
			require.LessOrEqual(t, asked, directory+2<<20+nearTail<<20, "what the server may put on the wire")
		})
	}
}

// TestCloseReleasesReaders: closing the cache ends every wait and every stream.
func TestCloseReleasesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{hook: func(ctx context.Context, _ request) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		c := openCache(t, t.TempDir(), src)
		a := info("closing", 10*BlockSize)
		h := openArchive(t, c, a)
		errs := make(chan error, 3)
		for i := range int64(3) {
			go func() {
				_, err := h.ReadAt(context.Background(), make([]byte, 10), i*4*BlockSize)
				errs <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, c.Close())
		for range 3 {
			require.ErrorIs(t, <-errs, download.ErrClosed)
		}
		_, err := h.ReadAt(context.Background(), make([]byte, 10), 0)
		require.ErrorIs(t, err, download.ErrClosed)
		_, err = c.Open(a)
		require.ErrorIs(t, err, download.ErrClosed)
	})
}

// TestManyReadersLittleMemory: more slow readers of different archives than there
// are buffers, none of which can be kept on disk, all get their bytes.
// Proves S-48.
func TestManyReadersLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{pace: limitPerStream(5e6)}
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Size = 1 })
		g, ctx := errgroup.WithContext(t.Context())
		var needed, fetched int64
		for i := range 2 * poolBlocks {
			a := info(fmt.Sprintf("many-%d", i), 3*BlockSize+int64(i))
			h := openArchive(t, c, a)
			r := rand.New(rand.NewPCG(uint64(i), 3))
			needed += a.Size + a.Size/2
			g.Go(func() error {
				time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				if err := checkRange(ctx, h, a, 0, a.Size); err != nil {
					return err
				}
				return checkRange(ctx, h, a, a.Size/2, a.Size)
			})
		}
		require.NoError(t, g.Wait())
		c.pool.mu.Lock()
		require.LessOrEqual(t, c.pool.lent, poolBlocks)
		c.pool.mu.Unlock()
		require.NoError(t, c.Close())
		for i := range 2 * poolBlocks {
			n, _ := src.bytes(download.ID(fmt.Sprintf("many-%d", i)))
			fetched += n
		}
		t.Logf("%d requests, %.2f times the bytes needed", src.count(), float64(fetched)/float64(needed))
		require.Less(t, float64(fetched), 1.5*float64(needed))
	})
}
