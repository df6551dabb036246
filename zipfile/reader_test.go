package zipfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted is a source that counts, and that is remote.
type counted struct {
	bytesSource
	reads, bytes atomic.Int64
}

func (c *counted) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c.reads.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.bytesSource.ReadAt(ctx, p, off)
}

func (c *counted) Expect(int64, int64) {}

// fewer is a quarter of n with the race detector, and n without.
func fewer(n int) int {
	if raceEnabled {
		return n / 4
	}
	return n
}

func reader(t *testing.T, b []byte, n Node, m *Memory) *Reader {
	t.Helper()
	r, err := NewReader(readIndex(t, b), n, m)
	require.NoError(t, err)
	return r
}

// mixed is content of all kinds: what packs well, what does not, and runs.
func mixed(n int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		switch i % 3 {
		case 0:
			b.WriteString(text(300_000 + i))
		case 1:
			b.WriteString(noise(200_000 + i))
		default:
			b.Write(make([]byte, 700_000))
		}
	}
	return b.String()[:n]
}

// Whatever is read in whatever order, it is what is in the file; also when little
// of what was unpacked is kept.
// Proves S-139.
func TestAnySequenceOfOffsets(t *testing.T) {
	data := mixed(fewer(9<<20) + 4711)
	for _, method := range []uint16{methodStored, methodDeflated} {
		for _, level := range []int{flate.HuffmanOnly, flate.BestSpeed, 6, flate.BestCompression} {
			e := made{name: "x", data: data, method: method, local: field(1, "another length")}
			if method == methodDeflated {
				var p bytes.Buffer
				w, err := flate.NewWriter(&p, level)
				require.NoError(t, err)
				_, _ = w.Write([]byte(data))
				require.NoError(t, w.Close())
				e.packed = p.Bytes()
			} else if level != 6 {
				continue
			}
			t.Run(fmt.Sprintf("method %d level %d", method, level), func(t *testing.T) {
				b := makeZip(made{name: "before", data: "1"}, e)
				for seed := range uint64(3) {
					anyOffsets(t, b, data, seed)
				}
			})
		}
	}
}

func anyOffsets(t *testing.T, b []byte, data string, seed uint64) {
	m := NewMemory()
	r := reader(t, b, 2, m)
	rnd := rand.New(rand.NewPCG(seed, 7))
	at := int64(0)
	for range fewer(60) {
		switch rnd.IntN(5) {
		case 0: // anywhere
			at = rnd.Int64N(int64(len(data)) + 10)
		case 1: // a little back
			at = max(0, at-rnd.Int64N(2<<20))
		case 2: // near the end
			at = int64(len(data)) - rnd.Int64N(1000)
		case 3: // forget some
			if seed == 1 {
				r.Idle()
			}
			if seed == 2 {
				forgetMarks(m)
			}
		}
		p := make([]byte, rnd.IntN(1<<20)+1)
		n, err := r.ReadAt(t.Context(), bytesSource(b), p, at)
		want := data[min(at, int64(len(data))):min(at+int64(len(p)), int64(len(data)))]
		require.Equal(t, len(want), n)
		require.True(t, string(p[:n]) == want, "%d bytes at %d", n, at)
		if n < len(p) {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
		at += int64(n)
	}
}

// forgetMarks drops every second checkpoint, as a full memory does.
func forgetMarks(m *Memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := 0
	for el := m.windows.Front(); el != nil; i++ {
		next := el.Next()
		if i%2 == 0 {
			m.dropMark(el.Value.(*mark))
		}
		el = next
	}
}

// After one pass a seek unpacks one span, and the archive is not read from its
// start again.
// Proves S-139.
func TestSeekCostsOneSpan(t *testing.T) {
	data := text(fewer(64) << 20)
	b := makeZip(made{name: "x", data: data, method: methodDeflated})
	r := reader(t, b, 1, NewMemory())
	src := &counted{bytesSource: b}
	p := make([]byte, 1<<20)
	for off := int64(0); off < r.Size(); off += int64(len(p)) {
		_, err := r.ReadAt(t.Context(), src, p, off)
		require.NoError(t, err)
	}
	require.Less(t, src.bytes.Load(), int64(len(b))+packedStep)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		r.Idle()
		src.bytes.Store(0)
		off := rnd.Int64N(r.Size() - 100)
		_, err := r.ReadAt(t.Context(), src, p[:100], off)
		require.NoError(t, err)
		require.Equal(t, data[off:off+100], string(p[:100]))
		// A span, the piece, what the compressor puts into a block, and a buffer.
		assert.Less(t, src.bytes.Load(), (r.span+pieceLen+1<<20)/2+packedStep)
	}
}

// Backwards, and by many at once, an entry is unpacked once or twice, not once for
// each request.
// Proves S-139.
func TestRequestsOutOfOrder(t *testing.T) {
	data := text(8 << 20)
	b := makeZip(made{name: "x", data: data, method: methodDeflated})
	r := reader(t, b, 1, NewMemory())
	src := &counted{bytesSource: b}
	var wg sync.WaitGroup
	for reader := range 8 {
		wg.Go(func() {
			for i := range 64 {
				off := int64((i^1)*128<<10) % r.Size()
				if reader == 7 {
					off = r.Size() - off - 1000
				}
				p := make([]byte, 1000)
				n, err := r.ReadAt(t.Context(), src, p, off)
				assert.NoError(t, err)
				assert.True(t, n == 1000 && string(p) == data[off:off+1000], "at %d", off)
			}
		})
	}
	wg.Wait()
	assert.Less(t, src.bytes.Load(), int64(len(b))*5)
}

// A file that is not what the directory says fails at its end, at the latest, and
// from then on everywhere.
// Proves S-140.
func TestDamage(t *testing.T) {
	const size = 1 << 20
	data := text(size)
	packed := deflated(data)
	flipped := bytes.Clone(packed)
	flipped[len(packed)/2] ^= 1
	whole := bytes.Clone([]byte(data))
	whole[300] ^= 1
	tests := map[string]made{
		"deflated, checksum":        {data: data, method: methodDeflated, crc: pointer[uint32](1)},
		"deflated, a bit":           {data: data, method: methodDeflated, packed: flipped},
		"deflated, cut off":         {data: data, method: methodDeflated, packed: packed[:len(packed)-1000]},
		"deflated, more than told":  {data: data[:size-5000], method: methodDeflated, packed: packed},
		"deflated, one more":        {data: data[:size-1], method: methodDeflated, packed: packed},
		"deflated, less than told":  {data: data + "x", method: methodDeflated, packed: packed},
		"deflated, nonsense":        {data: data, method: methodDeflated, packed: []byte(noise(len(packed)))},
		"deflated, no data":         {data: "x", method: methodDeflated, packed: []byte{}},
		"stored, checksum":          {data: data, crc: pointer[uint32](1)},
		"stored, a bit":             {data: data, packed: whole},
		"stored, short":             {data: "abc", packed: []byte("abd")},
		"local name":                {data: data, localName: pointer("longer")},
		"local method":              {data: data, localMethod: pointer[uint16](8)},
		"elsewhere":                 {data: data, header: pointer[uint32](1)},
		"stored, sizes differ":      {data: data, packed: whole[:100]},
		"deflated, impossible size": {data: data, method: methodDeflated, size: pointer[uint32](4 << 30 >> 1)},
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			e.name = "bad"
			b := makeZip(e, made{name: "good", data: data})
			x := readIndex(t, b)
			r, err := NewReader(x, 1, NewMemory())
			if err != nil {
				require.ErrorIs(t, err, ErrDamaged)
				return
			}
			n, err := readAll(t.Context(), r, bytesSource(b))
			require.ErrorIs(t, err, ErrDamaged)
			assert.Less(t, n, r.Size(), "the last piece is held back")
			_, err = r.ReadAt(t.Context(), bytesSource(b), make([]byte, 1), 0)
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorIs(t, r.Err(), ErrDamaged)

			other, err := NewReader(x, 2, NewMemory())
			require.NoError(t, err)
			_, err = readAll(t.Context(), other, bytesSource(b))
			require.NoError(t, err)
		})
	}
}

// readAll reads a file in order and returns how much it got.
func readAll(ctx context.Context, r *Reader, src Source) (int64, error) {
	p := make([]byte, 100_000)
	for off := int64(0); ; {
		n, err := r.ReadAt(ctx, src, p, off)
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return off, nil
		}
		if err != nil {
			return off - int64(n), err
		}
	}
}

// Proves S-141.
func TestUnsupported(t *testing.T) {
	for name, e := range map[string]made{
		"encrypted": {flags: flagEncrypted}, "masked": {flags: flagMasked}, "patched": {flags: flagPatched},
		"bzip2": {method: 12}, "zstd": {method: 93}, "deflate64": {method: 9},
	} {
		t.Run(name, func(t *testing.T) {
			e.name, e.data = "x", "abc"
			_, err := NewReader(readIndex(t, makeZip(e)), 1, NewMemory())
			require.ErrorIs(t, err, ErrUnsupported)
		})
	}
}

// A bomb ends at the size it was said to have, and nothing grows with what is in it.
// Proves S-140.
func TestBomb(t *testing.T) {
	bomb := deflated(string(make([]byte, fewer(256)<<20)))
	b := makeZip(made{name: "bomb", data: "x", size: pointer[uint32](1000), method: methodDeflated, packed: bomb})
	r := reader(t, b, 1, NewMemory())
	n, err := readAll(t.Context(), r, bytesSource(b))
	require.ErrorIs(t, err, ErrDamaged)
	assert.Zero(t, n)
}

// A source that fails, or a caller that gives up, does no harm to the file.
func TestReadAfterFailure(t *testing.T) {
	data := mixed(3 << 20)
	for _, method := range []uint16{methodStored, methodDeflated} {
		b := makeZip(made{name: "x", data: data, method: method})
		lost := errors.New("connection lost")
		for n := range fewer(12) {
			r := reader(t, b, 1, NewMemory())
			src := &failing{bytesSource(b), n, lost}
			if _, err := readAll(t.Context(), r, src); err != nil {
				require.ErrorIs(t, err, lost)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := r.ReadAt(ctx, bytesSource(b), make([]byte, 10), 2<<20)
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			got, err := readAll(t.Context(), r, bytesSource(b))
			require.NoError(t, err)
			require.Equal(t, int64(len(data)), got)
			require.True(t, r.whole.Load())
		}
	}
}

// Who waits for its turn does not wait longer than it wants to.
func TestWaitingForTheTurn(t *testing.T) {
	b := makeZip(made{name: "x", data: text(1000), method: methodDeflated})
	r := reader(t, b, 1, NewMemory())
	require.NoError(t, r.lock(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := r.ReadAt(ctx, bytesSource(b), make([]byte, 10), 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	r.unlock()
	_, err = r.ReadAt(t.Context(), bytesSource(b), make([]byte, 10), 0)
	require.NoError(t, err)
}

// The whole of a short file is expected before any of it is read, once.
func TestShortFileIsExpected(t *testing.T) {
	for _, method := range []uint16{methodStored, methodDeflated} {
		b := makeZip(made{name: "x", data: noise(1 << 20), method: method, local: field(1, "abc")})
		r := reader(t, b, 1, NewMemory())
		src := &expecting{t: t, bytesSource: b}
		for range 2 {
			_, err := readAll(t.Context(), r, src)
			require.NoError(t, err)
		}
		assert.Equal(t, 1, src.times)
	}
}

// A long file is not: it may be that only its beginning is read.
func TestLongFileIsNotExpected(t *testing.T) {
	b := makeZip(made{name: "x", data: noise(3 << 20)})
	r := reader(t, b, 1, NewMemory())
	src := &expecting{t: t, bytesSource: b, end: int64(len(b))}
	_, err := r.ReadAt(t.Context(), src, make([]byte, 100), 0)
	require.NoError(t, err)
	assert.Zero(t, src.times)
}

// expecting is a source that must be told what is read.
type expecting struct {
	t *testing.T
	bytesSource
	from, end int64
	times     int
}

func (s *expecting) Expect(off, n int64) {
	s.from, s.end = off, off+n
	s.times++
}

func (s *expecting) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	assert.True(s.t, off >= s.from && off+int64(len(p)) <= s.end, "read of %d bytes at %d, expected %d to %d", len(p), off, s.from, s.end)
	return s.bytesSource.ReadAt(ctx, p, off)
}

// What all readers keep together is bounded.
// Proves S-148.
func TestMemoryIsBounded(t *testing.T) {
	data := text(6 << 20)
	b := makeZip(made{name: "x", data: data, method: methodDeflated})
	x := readIndex(t, b)
	m := NewMemory()
	m.maxPieces, m.maxWindows, m.maxCursors = 1<<20, 8, 3
	var readers []*Reader
	for range 5 {
		r, err := NewReader(x, 1, m)
		require.NoError(t, err)
		readers = append(readers, r)
		for off := int64(0); off < r.Size()-1<<20; off += 1 << 20 {
			_, err = r.ReadAt(t.Context(), bytesSource(b), make([]byte, 10), off)
			require.NoError(t, err)
		}
	}
	assert.LessOrEqual(t, m.bytes, m.maxPieces)
	assert.Equal(t, m.maxWindows, m.windows.Len())
	assert.Equal(t, m.maxCursors, m.cursors.Len())
	marks := 0
	for _, r := range readers {
		marks += len(r.marks)
	}
	assert.Equal(t, m.maxWindows, marks)
	for _, r := range readers {
		r.Forget()
	}
	assert.Zero(t, m.bytes)
	assert.Zero(t, m.windows.Len())
	assert.Zero(t, m.cursors.Len())
	assert.Empty(t, m.pieces)
}

// Many files of some size, read one after the other, leave no garbage of their size.
func TestFilesLeaveNoGarbage(t *testing.T) {
	const files, size = 300, 100_000
	var entries []made
	for i := range files {
		entries = append(entries, made{name: fmt.Sprintf("%03d", i), data: noise(size), method: methodDeflated})
	}
	b := makeZip(entries...)
	x := readIndex(t, b)
	m := NewMemory()
	dest := make([]byte, size)
	readFile := func(n Node) {
		r, err := NewReader(x, n, m)
		require.NoError(t, err)
		_, err = r.ReadAt(t.Context(), bytesSource(b), dest, 0)
		require.NoError(t, err)
		r.Idle()
	}
	// What is kept is full after these.
	for n := range Node(100) {
		readFile(n + 1)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := range Node(files - 100) {
		readFile(n + 101)
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/(files-100), uint64(size/2), "bytes a file")
}

// A file of gigabytes does not take the memory of others.
func TestSpan(t *testing.T) {
	for _, size := range []int64{1, 1 << 20, 100 << 20, 1 << 30, 4 << 30, 1 << 40} {
		assert.Less(t, size/span(size), int64(maxWindows), "%d", size)
	}
	assert.LessOrEqual(t, span(1<<30), int64(6<<20))
}

// A checkpoint that is wrong costs time and nothing else.
func TestWrongCheckpoint(t *testing.T) {
	data := text(8 << 20)
	b := makeZip(made{name: "x", data: data, method: methodDeflated})
	r := reader(t, b, 1, NewMemory())
	_, err := readAll(t.Context(), r, bytesSource(b))
	require.NoError(t, err)
	require.NotEmpty(t, r.marks)
	for _, k := range r.marks {
		k.packed += 3
	}
	r.memory.maxPieces = 0
	p := make([]byte, 1000)
	for off := int64(7 << 20); off > 0; off -= 1 << 20 {
		_, err = r.ReadAt(t.Context(), bytesSource(b), p, off)
		require.NoError(t, err)
		require.Equal(t, data[off:off+1000], string(p))
	}
}
