package cache

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"downloadfs/download"
)

// memorySource delivers the same block over and over, at the speed of memory.
type memorySource struct{ block []byte }

func (s *memorySource) Stream(_ context.Context, _ download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	return &memoryBody{s: s, off: off, end: end}, nil
}

type memoryBody struct {
	s        *memorySource
	off, end int64
}

func (b *memoryBody) Read(p []byte) (int, error) {
	if b.off == b.end {
		return 0, io.EOF
	}
	// About what one read of a socket yields.
	n := copy(p[:min(len(p), 256<<10)], b.s.block[b.off%BlockSize:])
	n = int(min(int64(n), b.end-b.off))
	b.off += int64(n)
	return n, nil
}

func (b *memoryBody) Close() error { return nil }

func benchCache(b *testing.B, size int64) *Cache {
	b.Helper()
	c, err := Open(Config{
		Dir: b.TempDir(), Size: size,
		Source: &memorySource{block: make([]byte, BlockSize)},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func benchRead(b *testing.B, c *Cache, a download.ArchiveInfo) {
	b.Helper()
	h, err := c.Open(a)
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 128<<10)
	for off := int64(0); off < a.Size; off += int64(len(p)) {
		if _, err := h.ReadAt(context.Background(), p, off); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSequentialCold reads an archive that has to be fetched.
func BenchmarkSequentialCold(b *testing.B) {
	const size = 256 << 20
	for name, limit := range map[string]int64{"disk": 100 << 30, "memory": 1} {
		b.Run(name, func(b *testing.B) {
			c := benchCache(b, limit)
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := info(fmt.Sprintf("cold-%d", i), size)
				benchRead(b, c, a)
				b.StopTimer()
				if err := c.Drop(a.ID); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkReadBlock reads a block that is on disk, in the pieces a kernel asks
// for.
func BenchmarkReadBlock(b *testing.B) {
	c := benchCache(b, 1<<30)
	a := info("warm", 64<<20)
	benchRead(b, c, a)
	h, err := c.Open(a)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	p := make([]byte, 128<<10)
	b.SetBytes(BlockSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		base := blockOffset(i % blockCount(a.Size))
		for off := int64(0); off < BlockSize; off += int64(len(p)) {
			if _, err := h.ReadAt(context.Background(), p, base+off); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRange decides what to ask the source for in an archive with holes.
func BenchmarkRange(b *testing.B) {
	c := benchCache(b, 1<<30)
	a := newArchive(c, info("holes", 2<<30), "holes")
	for i := 100; i < a.n; i += 300 {
		a.set(i, blockGood)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if blk := i % a.n; a.missing(blk) {
			a.rangeEnd(blk, int64(blk)*BlockSize, 1)
		}
	}
}
