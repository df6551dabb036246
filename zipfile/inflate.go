package zipfile

import (
	"bufio"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// packedStep is how much of the packed data is read at a time.
const packedStep = 64 << 10

// packed reads the packed data of an entry in order.
type packed struct {
	ctx context.Context // of the call that is being served
	src Source
	off int64
	end int64
	err error // the source's
}

func (in *packed) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), in.end-in.off)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	if err := readFull(in.ctx, in.src, p, in.off); err != nil {
		in.err = err
		return 0, err
	}
	in.off += int64(len(p))
	return len(p), nil
}

// cursor is a stream that unpacks an entry from a checkpoint on.
type cursor struct {
	r   *Reader
	in  *packed
	buf *bufio.Reader
	z   io.ReadCloser
	pos int64 // of what comes next
	// plain says that z makes no checkpoints, so z can be reused.
	plain bool
	// resumed says that z began at a checkpoint.
	resumed bool
	// twice is how many bytes z has counted twice; see note.
	twice int64
}

// Buffers, and decoders without checkpoints, are reused: a walk over many small files
// would spend more on making them than on unpacking.
var (
	inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}
	buffers   = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, packedStep) }}
)

// newCursor starts at checkpoint k, or at the beginning if k is nil.
func (r *Reader) newCursor(k *mark) (*cursor, error) {
	data := r.data.Load()
	c := &cursor{r: r, in: &packed{off: data, end: data + r.packed}}
	if k != nil {
		c.in.off += k.packed
		c.pos = k.at
	}
	c.buf = buffers.Get().(*bufio.Reader)
	c.buf.Reset(c.in)
	if r.size <= r.span {
		c.plain = true
		c.z = inflaters.Get().(io.ReadCloser)
		return c, c.z.(flate.Resetter).Reset(c.buf, nil)
	}
	return c, nil
}

// start makes the decoder. It may read from the source.
func (c *cursor) start(k *mark) {
	if c.z != nil {
		return
	}
	c.resumed = k != nil
	options := []flate.ReaderOpt{flate.WithEobCallback(c.note)}
	if k != nil {
		options = append(options, flate.WithResumeFrom(flate.InflateCheckpoint{
			UncompressedOffset: k.at, CompressedOffset: k.packed, BitOffset: k.bits, Window: k.window,
		}))
	}
	c.z = flate.NewReaderOpts(c.buf, options...)
}

// note is called at the end of each block and keeps a checkpoint now and then.
//
// If a block of plain bytes follows, the decoder counts the bytes that it has read
// ahead a second time. At the end of such a block it has nothing read ahead. So there
// the difference from what was really read is the number of those bytes. After other
// blocks the difference is smaller.
func (c *cursor) note(cp flate.InflateCheckpoint) {
	r := c.r
	bits := cp.CompressedOffset*8 + int64(cp.BitOffset)
	c.twice = max(c.twice, (bits+7)/8-(c.in.off-int64(c.buf.Buffered())-r.data.Load()))
	if cp.Final || cp.UncompressedOffset >= r.size || !r.memory.wants(r, cp.UncompressedOffset, r.span) {
		return
	}
	bits -= 8 * c.twice
	r.memory.addMark(&mark{
		r: r, at: cp.UncompressedOffset, packed: bits / 8, bits: uint8(bits % 8),
		window: append(make([]byte, 0, len(cp.Window)), cp.Window...),
	})
}

// close gives back what can be reused.
func (c *cursor) close() {
	if c.plain {
		inflaters.Put(c.z)
	}
	c.buf.Reset(nil)
	buffers.Put(c.buf)
	c.z, c.buf = nil, nil
}

// unpack unpacks up to piece k and returns it. The caller releases the piece.
func (r *Reader) unpack(ctx context.Context, src Source, k pieceKey) (*piece, error) {
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer r.unlock()
	// Another caller may have unpacked it meanwhile.
	if err := r.Err(); err != nil {
		return nil, err
	}
	if p := r.memory.piece(k); p != nil {
		return p, nil
	}
	if err := r.begin(ctx, src); err != nil {
		return nil, err
	}
	for {
		c, err := r.cursorFor(ctx, src, k.i*pieceLen)
		if err != nil {
			return nil, err
		}
		p, err := c.unpack(ctx, k.i)
		if !errors.Is(err, errResumed) {
			return p, err
		}
		r.memory.forget(r, true) // and from the beginning
	}
}

// unpack unpacks up to a piece and returns it. The caller releases the piece.
// Afterwards the stream is finished, or it is parked.
func (c *cursor) unpack(ctx context.Context, i int64) (p *piece, err error) {
	for p == nil && err == nil {
		if err = ctx.Err(); err == nil {
			p, err = c.piece(i)
		}
	}
	if err != nil || c.pos >= c.r.size {
		c.close()
		return p, err
	}
	c.in.ctx, c.in.src = nil, nil
	c.r.memory.park(c)
	return p, nil
}

// errResumed: a stream that began at a checkpoint makes no sense. The checkpoint may
// be wrong. Only a stream from the beginning shows that the data is wrong.
var errResumed = errors.New("nonsense after a checkpoint")

// begin finds the data of the entry the first time. The whole of a short entry is
// expected then, header included, so that it costs one request.
func (r *Reader) begin(ctx context.Context, src Source) error {
	if r.data.Load() != 0 {
		return nil
	}
	const short, extra = 2 << 20, 128
	length := min(localLen+int64(r.rawLen)+extra+r.packed, r.limit-r.header)
	if length <= short {
		src.Expect(r.header, length)
	}
	return r.locate(ctx, src)
}

// cursorFor returns the stream that reaches at soonest.
func (r *Reader) cursorFor(ctx context.Context, src Source, at int64) (*cursor, error) {
	// A checkpoint may be ahead of what is in the checksum. The checksum must be
	// computed in order.
	k := r.memory.mark(r, min(at, r.summed))
	after := int64(0)
	if k != nil {
		after = k.at
	}
	c := r.memory.cursor(r, after, at)
	if c == nil {
		var err error
		if c, err = r.newCursor(k); err != nil {
			return nil, err
		}
	}
	c.in.ctx, c.in.src = ctx, src
	c.start(k)
	return c, nil
}

// behind is how many pieces before the wanted one are kept, because a kernel's
// requests come out of order.
const behind = 8

// piece unpacks the next piece, or the rest of it. It keeps the piece if it is whole
// and not far before the wanted one. It returns only the wanted one.
func (c *cursor) piece(want int64) (*piece, error) {
	r := c.r
	i := c.pos / pieceLen
	end := min((i+1)*pieceLen, r.size)
	whole := c.pos == i*pieceLen
	data := r.memory.buffer(int(min(pieceLen, r.size-i*pieceLen)))[:end-c.pos]
	from := c.pos
	n, err := io.ReadFull(c.z, data)
	switch {
	case n == len(data):
	case c.in.err != nil:
		return nil, c.in.err
	case c.resumed:
		return nil, errResumed
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.fail(damagedf("%q ends after %d bytes of %d", r.name, from+int64(n), r.size))
	default:
		return nil, r.fail(damagedf("%q cannot be unpacked after byte %d: %v", r.name, from+int64(n), err))
	}
	c.pos = end
	if from <= r.summed && end > r.summed {
		r.sum = crc32.Update(r.sum, crc32.IEEETable, data[r.summed-from:])
		r.summed = end
	}
	if end == r.size && !r.whole.Load() {
		if err := c.ends(); err != nil {
			return nil, err
		}
		if err := r.finish(); err != nil {
			return nil, err
		}
	}
	if !whole || i < want-behind {
		r.memory.recycle(data)
		return nil, nil
	}
	p := r.memory.keep(pieceKey{r, i}, data)
	if i == want {
		return p, nil
	}
	r.memory.release(p)
	return nil, nil
}

// ends checks that nothing follows the last byte.
func (c *cursor) ends() error {
	n, _ := io.ReadFull(c.z, make([]byte, 1))
	switch {
	case c.in.err != nil:
		return c.in.err
	case n > 0:
		return c.r.fail(damagedf("%q has more than %d bytes", c.r.name, c.r.size))
	}
	return nil
}
