package cache

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A server that does not say how long an archive is beforehand may turn out to have
// sent another one. Nothing of that is kept.
// Proves S-105.
func TestAnotherArchiveAtItsEnd(t *testing.T) {
	a := info("other", 4*BlockSize)
	var right atomic.Bool
	src := &fakeSource{}
	src.seed = func(id download.ID) uint64 {
		if !right.Load() {
			return 1
		}
		return seedOf(id)
	}
	src.cut = func(r request) (int64, error) {
		if !right.Load() {
			return r.end - r.off - 1, fmt.Errorf("read: %w", download.ErrChanged)
		}
		return -1, nil
	}
	c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Logger = nil })
	h := openArchive(t, c, a)
	got, err := io.Copy(io.Discard, io.NewSectionReader(readerAt{h}, 0, a.Size))
	require.ErrorIs(t, err, download.ErrChanged)
	require.Less(t, got, a.Size)
	require.Zero(t, c.Cached(a.ID))

	right.Store(true)
	_, err = h.ReadAt(t.Context(), make([]byte, 10), 0)
	require.ErrorIs(t, err, download.ErrChanged, "what is open is not to be believed any more")
	_, err = download.Lend(t.Context(), h, make([]byte, 10), 0)
	require.ErrorIs(t, err, download.ErrChanged)
	_, ok := h.File(0, 10)
	require.False(t, ok)

	again := openArchive(t, c, a)
	readAll(t, again, a, 0, a.Size)
	require.NoError(t, h.Close())
	readAll(t, again, a, 0, a.Size)
}

// readerAt reads a handle without a context.
type readerAt struct{ download.Archive }

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	return r.Archive.ReadAt(context.Background(), p, off)
}
