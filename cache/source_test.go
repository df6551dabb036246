package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// seedOf makes the content of two archives differ.
func seedOf(id download.ID) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(id) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// noise is what archives consist of, over and over. Its length is a prime larger
// than a block, so that no two blocks of an archive are the same.
var noise = func() []byte {
	p := make([]byte, 1048583)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}()

// fillContent fills p with the bytes that the archive has at off.
func fillContent(p []byte, seed uint64, off int64) {
	at := (uint64(off) + seed%uint64(len(noise))) % uint64(len(noise))
	for len(p) > 0 {
		p = p[copy(p, noise[at:]):]
		at = 0
	}
}

// content returns bytes [off, off+n) of the archive.
func content(id download.ID, off, n int64) []byte {
	p := make([]byte, n)
	fillContent(p, seedOf(id), off)
	return p
}

// span is a range of bytes that a stream delivered.
type span struct{ off, end int64 }

// request is one call of Stream.
type request struct {
	id       download.ID
	off, end int64
}

// fakeSource is a download.Source whose bytes are computed. It counts every byte
// it delivers.
type fakeSource struct {
	// hook, if set, is asked before a stream is opened.
	hook func(ctx context.Context, r request) error
	// cut, if set, returns after how many bytes of a request the stream breaks, and
	// with what; negative for never.
	cut func(r request) (int64, error)
	// pace, if set, is asked before each Read of at most n bytes and returns how many
	// may be delivered.
	pace func(ctx context.Context, r request, n int) (int, error)
	// seed, if set, replaces the content.
	seed func(id download.ID) uint64

	mu        sync.Mutex
	requests  []request
	delivered map[download.ID][]span
	open      int
}

func (s *fakeSource) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	r := request{id: a.ID, off: off, end: end}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if off < 0 || off >= end || end > a.Size {
		panic(fmt.Sprintf("stream [%d,%d) of an archive of %d bytes", off, end, a.Size))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.hook != nil {
		if err := s.hook(ctx, r); err != nil {
			return nil, err
		}
	}
	b := &fakeBody{s: s, ctx: ctx, r: r, off: off, cut: -1, seed: seedOf(a.ID)}
	if s.seed != nil {
		b.seed = s.seed(a.ID)
	}
	if s.cut != nil {
		b.cut, b.err = s.cut(r)
	}
	s.mu.Lock()
	s.open++
	s.mu.Unlock()
	return b, nil
}

type fakeBody struct {
	s      *fakeSource
	ctx    context.Context
	r      request
	off    int64
	seed   uint64
	cut    int64
	err    error
	closed bool
}

func (b *fakeBody) Read(p []byte) (int, error) {
	if b.closed {
		panic("read after close")
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.cut >= 0 && b.off-b.r.off >= b.cut {
		return 0, b.err
	}
	if b.off == b.r.end {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), b.r.end-b.off))
	if b.cut >= 0 {
		n = int(min(int64(n), b.r.off+b.cut-b.off))
	}
	if b.s.pace != nil {
		var err error
		if n, err = b.s.pace(b.ctx, b.r, n); err != nil {
			return 0, err
		}
	}
	fillContent(p[:n], b.seed, b.off)
	b.off += int64(n)
	return n, nil
}

func (b *fakeBody) Close() error {
	if b.closed {
		panic("closed twice")
	}
	b.closed = true
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.open--
	if b.off > b.r.off {
		if b.s.delivered == nil {
			b.s.delivered = make(map[download.ID][]span)
		}
		b.s.delivered[b.r.id] = append(b.s.delivered[b.r.id], span{b.r.off, b.off})
	}
	return nil
}

// count returns the number of requests so far.
func (s *fakeSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// openBodies returns how many streams are not closed.
func (s *fakeSource) openBodies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// bytes returns how many bytes of the archive were delivered by closed streams,
// and how many of them more than once.
func (s *fakeSource) bytes(id download.ID) (total, twice int64) {
	s.mu.Lock()
	spans := slices.Clone(s.delivered[id])
	s.mu.Unlock()
	slices.SortFunc(spans, func(a, b span) int { return int(a.off - b.off) })
	var end int64
	for _, sp := range spans {
		total += sp.end - sp.off
		if sp.off < end {
			twice += min(end, sp.end) - sp.off
		}
		end = max(end, sp.end)
	}
	return total, twice
}

// limitPerStream makes every stream deliver at most rate bytes per second.
func limitPerStream(rate int64) func(context.Context, request, int) (int, error) {
	return func(ctx context.Context, _ request, n int) (int, error) {
		n = min(n, 64<<10)
		t := time.NewTimer(time.Duration(int64(n) * int64(time.Second) / rate))
		defer t.Stop()
		select {
		case <-t.C:
			return n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

var errBroken = fmt.Errorf("connection reset: %w", io.ErrUnexpectedEOF)

// info names an archive of the given size.
func info(id string, size int64) download.ArchiveInfo {
	return download.ArchiveInfo{ID: download.ID(id), Name: id + ".zip", Size: size, ModifiedAt: time.Unix(1700000000, 123e6)}
}

// testLog returns a logger that writes to the test's log.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openCache opens a cache over src; it is closed with the test.
func openCache(t testing.TB, dir string, src download.Source, change ...func(*Config)) *Cache {
	t.Helper()
	cfg := Config{Dir: dir, Source: src, Logger: testLog(t)}
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeCache(t, c) })
	return c
}

// closeCache closes c unless the test has done so already.
func closeCache(t testing.TB, c *Cache) {
	t.Helper()
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if !closed {
		require.NoError(t, c.Close())
	}
}

// openArchive opens an archive; the handle is closed with the test.
func openArchive(t testing.TB, c *Cache, a download.ArchiveInfo) download.Archive {
	t.Helper()
	h, err := c.Open(a)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := h.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return h
}

// readAll reads [off, end) in pieces of at most 128 KiB, as a kernel does, and
// compares it.
func readAll(t testing.TB, h download.Archive, a download.ArchiveInfo, off, end int64) {
	t.Helper()
	require.NoError(t, checkRange(t.Context(), h, a, off, end))
}

// checkRange is readAll for other goroutines.
func checkRange(ctx context.Context, h download.Archive, a download.ArchiveInfo, off, end int64) error {
	p := make([]byte, 128<<10)
	want := make([]byte, 128<<10)
	for off < end {
		n := int(min(int64(len(p)), end-off))
		if err := checkRead(ctx, h, a, p[:n], want[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// checkRead makes one read and compares it with the model: the content.
func checkRead(ctx context.Context, h download.Archive, a download.ArchiveInfo, p, want []byte, off int64) error {
	n, err := h.ReadAt(ctx, p, off)
	expect := max(0, min(int64(len(p)), a.Size-off))
	switch {
	case expect < int64(len(p)) && err != io.EOF:
		return fmt.Errorf("read %d at %d of %d: want EOF, got %w", len(p), off, a.Size, err)
	case expect == int64(len(p)) && err != nil:
		return fmt.Errorf("read %d at %d of %d: %w", len(p), off, a.Size, err)
	case int64(n) != expect:
		return fmt.Errorf("read %d at %d of %d: got %d bytes", len(p), off, a.Size, n)
	}
	fillContent(want[:n], seedOf(a.ID), off)
	if !bytes.Equal(p[:n], want[:n]) {
		return fmt.Errorf("read %d at %d of %d: wrong bytes", len(p), off, a.Size)
	}
	return nil
}

// random returns a generator whose seed is in the test's log.
func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}
