package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// diskUse returns how much room a directory takes, as du does.
func diskUse(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		sum += fi.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // something was evicted meanwhile: look again later
	}
	return sum, err
}

// modelSizes are the archives of the model tests.
var modelSizes = []int64{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, 3*BlockSize - 7, 6 * BlockSize, 17*BlockSize + 4321, 5<<30 + 321}

// modelReader makes random reads of one archive and compares each with the model.
func modelReader(ctx context.Context, r *rand.Rand, h download.Archive, a download.ArchiveInfo, reads int) error {
	const most = 3 * BlockSize
	p, want := make([]byte, most), make([]byte, most)
	pos := int64(0)
	for range reads {
		n := 1 + r.IntN(256<<10)
		switch r.IntN(12) {
		case 0: // anywhere, also beyond the end
			pos = r.Int64N(a.Size + 10)
		case 1: // backward
			pos = max(0, pos-int64(2*n))
		case 2: // at a block's edge
			pos = max(0, blockOffset(r.IntN(blockCount(a.Size)+1))-int64(r.IntN(3)))
		case 3: // the tail
			pos = max(0, a.Size-int64(r.IntN(70<<10)))
		case 4:
			n = r.IntN(most)
		case 5: // a reader that gives up
			quit, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(300))*time.Microsecond)
			m, err := h.ReadAt(quit, p[:n], pos)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && pos+int64(n) <= a.Size {
				return fmt.Errorf("cancelled read: %w", err)
			}
			fillContent(want[:m], seedOf(a.ID), pos)
			if string(p[:m]) != string(want[:m]) {
				return fmt.Errorf("cancelled read %d at %d: wrong bytes", n, pos)
			}
			continue
		}
		if err := checkRead(ctx, h, a, p[:n], want[:n], pos); err != nil {
			return err
		}
		if f, ok := h.File(pos, int64(n)); ok {
			m := int(min(int64(n), a.Size-pos))
			if _, err := f.ReadAt(p[:m], pos); err != nil {
				return fmt.Errorf("file: %w", err)
			}
			if string(p[:m]) != string(want[:m]) {
				return fmt.Errorf("file %d at %d: wrong bytes", n, pos)
			}
		}
		pos += int64(n)
		if pos > a.Size {
			pos = 0
		}
	}
	return nil
}

// TestModel reads archives of all sizes at random, from several readers each,
// with room for everything, for exactly the largest, for less, and for nothing.
// Proves S-38, S-45.
func TestModel(t *testing.T) {
	largest := modelSizes[len(modelSizes)-2] // but the one of several GB
	fit := roundUp(largest) + fileOverhead + overhead + 64<<10
	for name, size := range map[string]int64{
		"ample": 1 << 30, "largest": fit, "smaller": fit - 5*BlockSize, "bytes": largest, "none": 1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			src := &fakeSource{}
			var mu sync.Mutex
			if name != "ample" {
				r := random(t)
				src.cut = func(q request) (int64, error) {
					mu.Lock()
					defer mu.Unlock()
					switch r.IntN(4) {
					case 0:
						return r.Int64N(q.end - q.off + 1), errBroken
					case 1: // ends early as if that were all
						return r.Int64N(q.end - q.off + 1), io.EOF
					}
					return -1, nil
				}
			}
			c := openCache(t, dir, src, func(cfg *Config) { cfg.Size = size })
			seeds := random(t)
			readers, reads := 3, 60
			if testing.Short() {
				readers, reads = 2, 25
			}
			g, ctx := errgroup.WithContext(t.Context())
			for i, n := range modelSizes {
				a := info(fmt.Sprintf("model-%d", i), n)
				for range readers {
					r := rand.New(rand.NewPCG(seeds.Uint64(), 2))
					g.Go(func() error {
						for range 3 { // opened and closed, so that it can be evicted
							h, err := c.Open(a)
							if err != nil {
								return err
							}
							if err := modelReader(ctx, r, h, a, reads/3); err != nil {
								return fmt.Errorf("%s: %w", a.ID, err)
							}
							if err := h.Close(); err != nil {
								return err
							}
						}
						return nil
					})
				}
			}
			done := make(chan struct{})
			watched := make(chan error, 1)
			go func() {
				defer close(watched)
				for {
					use, err := diskUse(dir)
					if err == nil && size > overhead && use > size {
						err = fmt.Errorf("%d bytes on disk, limit %d", use, size)
					}
					if err != nil {
						watched <- err
						return
					}
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			}()
			err := g.Wait()
			close(done)
			require.NoError(t, err)
			require.NoError(t, <-watched)
			require.NoError(t, c.Close())
			require.Zero(t, src.openBodies())
			for i := range modelSizes {
				total, twice := src.bytes(download.ID(fmt.Sprintf("model-%d", i)))
				if name == "ample" {
					require.Zero(t, twice, "model-%d: of %d", i, total)
				}
			}
		})
	}
}
