// Package storetest is the suite for every implementation of [share.Store].
package storetest

import (
	"context"
	"fmt"
	"io"
	iofs "io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/share"
)

// Run checks that s does what share.Store promises. s is empty, and is so afterwards as
// far as Delete works.
func Run(t *testing.T, s share.Store) {
	t.Helper()
	ctx := t.Context()
	read := func(key string, off, n int64) string {
		t.Helper()
		rc, err := s.Open(ctx, key, off, n)
		require.NoError(t, err)
		defer rc.Close()
		p, err := io.ReadAll(rc)
		require.NoError(t, err)
		return string(p)
	}
	_, err := s.Open(ctx, "a/b/c", 0, 1)
	require.ErrorIs(t, err, iofs.ErrNotExist)
	objects, err := s.List(ctx, "a/")
	require.NoError(t, err)
	require.Empty(t, objects)
	require.NoError(t, s.Delete(ctx, "a/b/c"))

	before := time.Now()
	require.NoError(t, s.Create(ctx, "a/b/c", []byte("0123456789")))
	require.ErrorIs(t, s.Create(ctx, "a/b/c", []byte("other")), iofs.ErrExist)
	assert.Equal(t, "0123456789", read("a/b/c", 0, -1))
	assert.Equal(t, "345", read("a/b/c", 3, 3))
	assert.Equal(t, "89", read("a/b/c", 8, 100))
	assert.Empty(t, read("a/b/c", 10, 5))
	require.NoError(t, s.Create(ctx, "a/b/d", nil))
	require.NoError(t, s.Create(ctx, "a/bb", []byte("x")))
	require.NoError(t, s.Create(ctx, "b/c", []byte("x")))
	objects, err = s.List(ctx, "a/")
	require.NoError(t, err)
	var keys []string
	for _, o := range objects {
		keys = append(keys, o.Key)
		assert.WithinDuration(t, before, o.ModTime, time.Minute)
	}
	assert.Equal(t, []string{"a/b/c", "a/b/d", "a/bb"}, keys)
	assert.EqualValues(t, 10, objects[0].Size)
	require.NoError(t, s.Delete(ctx, "a/b/c"))
	require.NoError(t, s.Delete(ctx, "a/b/d"))
	require.NoError(t, s.Create(ctx, "a/b/c", []byte("again")))
	assert.Equal(t, "again", read("a/b/c", 0, -1))

	// Of many who create one object, one succeeds, and readers see all of it.
	for i := range 20 {
		key := fmt.Sprintf("race/%d/x", i)
		var wins atomic.Int32
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				switch err := s.Create(ctx, key, fmt.Appendf(nil, "written by %d", w)); {
				case err == nil:
					wins.Add(1)
				default:
					assert.ErrorIs(t, err, iofs.ErrExist)
				}
				assert.Len(t, read(key, 0, -1), len("written by 0"))
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, wins.Load())
	}
	ended, end := context.WithCancel(ctx)
	end()
	assert.Error(t, s.Create(ended, "late", nil))
}
