package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync/atomic"
)

// localLen is how long a local header is, without its name and extra field.
const localLen = 30

// Reader reads one file of an archive. Its methods are safe for concurrent use.
//
// If you read a file from beginning to end, you get the right bytes or an error: the
// last piece is held back until length and checksum are verified. If the file is
// wrong, every read fails from then on. Reads at any offset of a packed file are
// checked in the same way, because everything before it has been unpacked. Such reads
// of a stored file are not checked.
type Reader struct {
	memory *Memory
	name   string
	size   int64
	packed int64
	header int64
	limit  int64 // where its data must have ended
	crc    uint32
	rawLen int
	stored bool
	span   int64 // between checkpoints

	data  atomic.Int64 // where the data begins; 0 until the local header is read
	whole atomic.Bool  // length and checksum are verified
	bad   atomic.Pointer[error]
	turn  chan struct{} // held by the caller that unpacks; guards what follows
	// The first summed bytes have the checksum sum.
	summed int64
	sum    uint32

	marks []*mark // in order; guarded by memory.mu
}

// NewReader returns a reader of file n. It fails with ErrUnsupported or ErrDamaged if
// the directory alone shows that the file cannot be read.
func NewReader(x *Index, n Node, m *Memory) (*Reader, error) {
	e := x.node(n)
	r := &Reader{
		memory: m, name: string(x.name(n, &e)),
		size: e.size, packed: e.packed, header: e.header, limit: x.limit,
		crc: e.crc, rawLen: int(e.rawLen()), stored: e.flags&isDeflated == 0,
		span: span(e.size), turn: make(chan struct{}, 1),
	}
	switch {
	case e.flags&isDir != 0:
		return nil, damagedf("%q is a directory", r.name)
	case e.flags&isUnsupported != 0:
		return nil, fmt.Errorf("%w: %q is encrypted, or packed in an unknown way", ErrUnsupported, r.name)
	case x.overlap.has(n):
		return nil, damagedf("%q shares its bytes with another one", r.name)
	case e.flags&isInconsistent != 0:
		return nil, damagedf("%q cannot have %d bytes packed in %d", r.name, r.size, r.packed)
	}
	return r, nil
}

// span returns the distance of checkpoints for a file of size bytes. It keeps a seek
// short and the windows of a huge file few.
func span(size int64) int64 {
	const least, most, windows = 1 << 20, 4 << 20, 192
	return max(min(max(least, size/windows), most), size/(maxWindows*3/4))
}

// Size returns how many bytes the file has.
func (r *Reader) Size() int64 { return r.size }

// Err returns why the file can no longer be read, if reading has shown that.
func (r *Reader) Err() error {
	if err := r.bad.Load(); err != nil {
		return *err
	}
	return nil
}

// Plain returns where in the archive a stored file's bytes are, if they were
// verified. You can then read them there.
func (r *Reader) Plain() (off int64, ok bool) {
	return r.data.Load(), r.stored && r.whole.Load()
}

// Idle drops what matters only while a caller reads.
func (r *Reader) Idle() { r.memory.forget(r, false) }

// Forget drops everything that is kept for the reader.
func (r *Reader) Forget() { r.memory.forget(r, true) }

// ReadAt fills p from off, as io.ReaderAt does. It reads from src, which must be the
// archive that the index is of. Errors are ErrDamaged, which lasts, the source's, or
// ctx's.
func (r *Reader) ReadAt(ctx context.Context, src Source, p []byte, off int64) (int, error) {
	if off >= r.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > r.size-off
	p = p[:min(int64(len(p)), r.size-off)]
	var n int
	var err error
	if r.stored {
		n, err = r.readStored(ctx, src, p, off)
	} else {
		n, err = r.readDeflated(ctx, src, p, off)
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// readDeflated fills p from off, piece by piece.
func (r *Reader) readDeflated(ctx context.Context, src Source, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		if err := r.Err(); err != nil {
			return n, err
		}
		at := off + int64(n)
		k := pieceKey{r, at / pieceLen}
		c := r.memory.piece(k)
		if c == nil {
			var err error
			if c, err = r.unpack(ctx, src, k); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], c.data[at%pieceLen:])
		r.memory.release(c)
	}
	return n, nil
}

// lock waits for r's turn.
func (r *Reader) lock(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Reader) unlock() { <-r.turn }

// locate reads the local header, whose extra field differs from the directory's, and
// finds the data after it. The caller has the turn.
func (r *Reader) locate(ctx context.Context, src Source) error {
	b := make([]byte, localLen)
	if err := readFull(ctx, src, b, r.header); err != nil {
		return err
	}
	le := binary.LittleEndian
	nameLen, extraLen := int(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
	method := uint16(methodDeflated)
	if r.stored {
		method = methodStored
	}
	data := r.header + localLen + int64(nameLen) + extraLen
	switch {
	case !bytes.HasPrefix(b, localSignature):
		return r.fail(damagedf("%q is not where the directory says", r.name))
	case nameLen != r.rawLen || le.Uint16(b[8:]) != method || le.Uint16(b[6:])&flagEncrypted != 0:
		return r.fail(damagedf("%q has a header that contradicts the directory", r.name))
	case data > r.limit-r.packed:
		return r.fail(damagedf("%q reaches beyond the end of the archive", r.name))
	}
	r.data.Store(data)
	return nil
}

// fail makes the reader fail for good.
func (r *Reader) fail(err error) error {
	r.bad.Store(&err)
	r.memory.forget(r, true)
	return err
}

// finish compares the checksum of the whole file. The caller has the turn.
func (r *Reader) finish() error {
	if r.sum != r.crc {
		return r.fail(damagedf("the checksum of %q differs from the one in the directory", r.name))
	}
	r.whole.Store(true)
	return nil
}

// markAfter returns the index of the first checkpoint after at; memory.mu is held.
func (r *Reader) markAfter(at int64) int {
	return sort.Search(len(r.marks), func(i int) bool { return r.marks[i].at > at })
}
