package cache

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// TestLoansAreOfMemory: what is in memory is lent from there, across blocks too,
// and stays as it is until it is returned, whatever becomes of the archive.
// Proves S-130.
func TestLoansAreOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCache(t, t.TempDir(), &fakeSource{})
		a := info("lent", 12*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, 4*BlockSize)
		const off, n = 5*BlockSize - 1000, 3000
		p := make([]byte, n)
		loan, err := h.(download.Lender).Lend(t.Context(), p, off)
		require.NoError(t, err)
		require.Len(t, loan.Pieces, 2)
		require.NotSame(t, &p[0], &loan.Pieces[0][0])
		require.NotSame(t, &p[1000], &loan.Pieces[1][0])
		require.NoError(t, c.Drop(a.ID))
		require.NoError(t, h.Close())
		b := info("other", 40*BlockSize) // takes all the memory there is
		hb := openArchive(t, c, b)
		readAll(t, hb, b, 0, b.Size)
		require.True(t, bytes.Equal(content(a.ID, off, n), bytes.Join(loan.Pieces, nil)))
		loan.Return()
		require.NoError(t, hb.Close())
		time.Sleep(time.Minute)
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		require.Zero(t, c.pool.lent)
	})
}

// TestLoansOutside: there is nothing to lend beyond an archive's ends, or of a
// handle that is closed.
func TestLoansOutside(t *testing.T) {
	c := openCache(t, t.TempDir(), &fakeSource{})
	a := info("lent", 1000)
	h := openArchive(t, c, a)
	for off, n := range map[int64]int{-1: 10, 991: 10, 1000: 1, 1 << 62: 1} {
		_, err := h.(download.Lender).Lend(t.Context(), make([]byte, n), off)
		require.ErrorIs(t, err, download.ErrInvalid)
	}
	require.NoError(t, h.Close())
	_, err := h.(download.Lender).Lend(t.Context(), make([]byte, 10), 0)
	require.Error(t, err)
}

// TestReadersLookInMemoryFirst: blocks that were fetched ahead of a reader are
// served from memory, not from the disk.
// Proves S-130.
func TestReadersLookInMemoryFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{}
		var logged logBuffer
		c := openCache(t, t.TempDir(), src, func(cfg *Config) { cfg.Logger = logged.logger() })
		a := info("remembered", 12*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, 4*BlockSize)
		time.Sleep(time.Second) // what follows is fetched
		ar := c.lookup(a.ID)
		ahead := 4
		for ahead < 11 && ar.is(ahead) != blockAbsent { // the last is the tail, which came first
			ahead++
		}
		require.Greater(t, ahead, 6)
		f, err := ar.open(false)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(0))
		require.NoError(t, f.Truncate(a.Size))
		before := src.count()
		readAll(t, h, a, 4*BlockSize, blockOffset(ahead))
		require.Equal(t, before, src.count())
		require.NotContains(t, logged.String(), "damaged")
	})
}
