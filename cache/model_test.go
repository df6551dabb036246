package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

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
		if n > 0 && pos+int64(n) <= a.Size && r.IntN(3) == 0 {
			if err := checkLoan(ctx, h, p[:n], want[:n], pos); err != nil {
				return err
			}
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

// checkLoan borrows what checkRead has just read.
func checkLoan(ctx context.Context, h download.Archive, p, want []byte, pos int64) error {
	loan, err := download.Lend(ctx, h, p, pos)
	if err != nil {
		return fmt.Errorf("borrow %d at %d: %w", len(p), pos, err)
	}
	defer loan.Return()
	if got := bytes.Join(loan.Pieces, nil); !bytes.Equal(got, want) {
		return fmt.Errorf("borrow %d at %d: %d bytes, or wrong ones", len(p), pos, len(got))
	}
	return nil
}

// TestModel reads archives of all sizes at random, from several readers each,
// with room for everything, for exactly the largest, for less, and for nothing.
// Where a file system can be mounted, the limit is watched on one that holds
// nothing else.
// Proves S-38, S-44, S-45.
func TestModel(t *testing.T) {
	largest := modelSizes[len(modelSizes)-2] // but the one of several GB
	fit := roundUp(largest) + fileOverhead + overhead + 64<<10
	for name, limit := range map[string]int64{
		"ample": 1 << 30, "largest": fit, "smaller": fit - 5*BlockSize, "bytes": largest, "none": 1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			model(t, modelRun{
				dir: dir, limit: limit, room: func() (int64, error) { return diskUse(dir) },
				broken: name != "ample", seeds: [2]uint64{rand.Uint64(), rand.Uint64()},
			})
		})
	}
	for name, seeds := range map[string][2]uint64{
		"alone":      {rand.Uint64(), rand.Uint64()},
		"alone kept": {12810455084628067187, 10411121790049803827},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mnt := mountTmpfs(t, "size=1g")
			empty, err := mountUse(mnt)
			require.NoError(t, err)
			model(t, modelRun{
				dir: filepath.Join(mnt, "cache"), limit: fit + empty, broken: true, seeds: seeds,
				room: func() (int64, error) { return mountUse(mnt) },
			})
		})
	}
}

// modelRun is one run of the model.
type modelRun struct {
	dir    string
	limit  int64
	room   func() (int64, error) // what the cache takes on disk
	broken bool                  // streams break off
	seeds  [2]uint64             // of the streams and of the readers
}

func model(t *testing.T, run modelRun) {
	t.Logf("seeds %d, %d", run.seeds[0], run.seeds[1])
	src := &fakeSource{}
	if run.broken {
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(run.seeds[0], 1))
		empty := map[download.ID]int{} // of each archive, streams in a row that brought nothing: after a few the cache gives up
		src.cut = func(q request) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			kind := r.IntN(4)
			if kind > 1 {
				return -1, nil
			}
			n := r.Int64N(q.end - q.off + 1)
			if empty[q.id]++; n > 0 || empty[q.id] >= streamAttempts {
				n, empty[q.id] = max(n, 1), 0
			}
			if kind == 0 {
				return n, errBroken
			}
			return n, io.EOF // ends early as if that were all
		}
	}
	c := openCache(t, run.dir, src, func(cfg *Config) { cfg.Size = run.limit })
	seeds := rand.New(rand.NewPCG(run.seeds[1], 1))
	readers, reads := 3, 60
	if testing.Short() || raceEnabled {
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
	stop := func() int { return 0 }
	if run.limit > overhead { // its own small files take more
		stop = watchLimit(t, run.limit, run.room)
	}
	err := g.Wait()
	t.Logf("looked %d times", stop())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Zero(t, src.openBodies())
	for i := range modelSizes {
		total, twice := src.bytes(download.ID(fmt.Sprintf("model-%d", i)))
		if !run.broken {
			require.Zero(t, twice, "model-%d: of %d", i, total)
		}
	}
}
