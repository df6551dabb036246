package meter

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// zeros is a source that has every byte at hand.
type zeros struct{ largest atomic.Int64 }

func (z *zeros) Stream(_ context.Context, _ download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	if off == end {
		return nil, errors.New("empty")
	}
	return &body{z, end - off}, nil
}

type body struct {
	z    *zeros
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), b.left)
	b.left -= n
	b.z.largest.Store(max(b.z.largest.Load(), n))
	return int(n), nil
}

func (b *body) Close() error { return nil }

func openStream(t *testing.T, s download.Source, n int64) io.ReadCloser {
	t.Helper()
	r, err := s.Stream(t.Context(), download.ArchiveInfo{Size: n}, 0, n)
	require.NoError(t, err)
	return r
}

// All streams together get the limit, however many there are and however short.
// Proves S-197.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, each, streams = 1 << 20, 4 << 20, 5
		var counted atomic.Int64
		z := &zeros{}
		m := New(limit, func(n int) { counted.Add(int64(n)) })
		began := time.Now()
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				n, err := io.Copy(io.Discard, openStream(t, m.Source(z), each))
				assert.NoError(t, err)
				assert.Equal(t, int64(each), n)
			})
		}
		all.Wait()
		took := time.Since(began)
		assert.InDelta(t, (each * streams / limit * time.Second).Seconds(), took.Seconds(), 0.2)
		assert.EqualValues(t, each*streams, counted.Load())
		assert.LessOrEqual(t, z.largest.Load(), int64(limit/10), "bytes come evenly")

		began = time.Now()
		for range 1000 {
			_, err := io.Copy(io.Discard, openStream(t, m.Source(z), 10<<10))
			assert.NoError(t, err)
		}
		assert.InDelta(t, 1000*10/1024., time.Since(began).Seconds(), 0.2)
	})
}

// Without a limit nothing waits, and every byte is counted.
func TestNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := 0
		m := New(0, func(n int) { counted += n })
		began := time.Now()
		_, err := io.Copy(io.Discard, openStream(t, m.Source(&zeros{}), 100<<20))
		require.NoError(t, err)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, 100<<20, counted)
		assert.Zero(t, m.Limit())
	})
}

// A new limit counts at once, also for who waits by the old one.
// Proves S-197.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(1024, nil)
		done := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(done)
			_, err := io.Copy(io.Discard, openStream(t, m.Source(&zeros{}), 10<<20))
			assert.NoError(t, err)
		}()
		time.Sleep(time.Second)
		m.SetLimit(1 << 20)
		assert.EqualValues(t, 1<<20, m.Limit())
		<-done
		assert.InDelta(t, 11, time.Since(began).Seconds(), 0.2)

		m.SetLimit(1)
		done = make(chan struct{})
		began = time.Now()
		go func() {
			defer close(done)
			_, err := io.Copy(io.Discard, openStream(t, m.Source(&zeros{}), 10<<20))
			assert.NoError(t, err)
		}()
		time.Sleep(time.Hour)
		m.SetLimit(0)
		<-done
		assert.Equal(t, time.Hour, time.Since(began))
	})
}

// A stream that waits for its turn ends with its caller and when it is closed, and
// gives its turn to others.
// Proves S-197.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(minPiece, nil)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := m.Source(&zeros{}).Stream(ctx, download.ArchiveInfo{}, 0, 1<<30)
		require.NoError(t, err)
		failed := make(chan error, 1)
		read := func(r io.Reader) { _, err := io.Copy(io.Discard, r); failed <- err }
		go read(r)
		time.Sleep(500 * time.Millisecond)
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		require.NoError(t, r.Close())

		r = openStream(t, m.Source(&zeros{}), 1<<30)
		go read(r)
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, r.Close())
		require.ErrorIs(t, <-failed, os.ErrClosed)

		began := time.Now()
		_, err = io.Copy(io.Discard, openStream(t, m.Source(&zeros{}), minPiece))
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), 2*time.Second)
	})
}

func TestSourceFails(t *testing.T) {
	_, err := New(1, nil).Source(&zeros{}).Stream(t.Context(), download.ArchiveInfo{}, 0, 0)
	require.ErrorContains(t, err, "empty")
}
