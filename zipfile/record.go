package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
)

// These are the general purpose flags that matter.
const (
	flagEncrypted       = 1 << 0
	flagPatched         = 1 << 5
	flagStrongEncrypted = 1 << 6
	flagUTF8            = 1 << 11
	flagMasked          = 1 << 13
)

// These are the ways of packing that can be undone.
const (
	methodStored   = 0
	methodDeflated = 8
)

// record is one entry of the central directory. Its slices are valid until the next
// record is read.
type record struct {
	madeBy           uint16
	flags, method    uint16
	dosTime, dosDate uint16
	crc              uint32
	packed, size     int64
	header           int64 // offset of the local header, without what precedes the zip
	name, extra      []byte
}

// records reads the central directory piece by piece, in order.
type records struct {
	ctx  context.Context
	src  Source
	off  int64 // of what follows buf
	end  int64
	room []byte
	buf  []byte // read but not yet used
}

// recordsStep is how much of the directory is read at a time.
const recordsStep = 64 << 10

func newRecords(ctx context.Context, src Source, e end) *records {
	return &records{ctx: ctx, src: src, off: e.offset, end: e.offset + e.size,
		room: make([]byte, min(2*recordsStep, e.size))}
}

// left returns how much of the directory has not been used.
func (r *records) left() int64 { return r.end - r.off + int64(len(r.buf)) }

// peek returns the next n bytes, or fewer at the end of the directory.
func (r *records) peek(n int) ([]byte, error) {
	if len(r.buf) >= n {
		return r.buf[:n], nil
	}
	for len(r.buf) < n && r.off < r.end {
		if err := r.read(n); err != nil {
			return nil, err
		}
	}
	return r.buf[:min(n, len(r.buf))], nil
}

// read reads the next step of the directory. It makes room for n bytes.
func (r *records) read(n int) error {
	old := r.buf
	if len(r.room) < n {
		r.room = make([]byte, n+recordsStep)
	}
	kept := copy(r.room, old)
	more := r.room[kept:min(int64(kept+recordsStep), int64(len(r.room)), int64(kept)+r.end-r.off)]
	if err := readFull(r.ctx, r.src, more, r.off); err != nil {
		return err
	}
	r.off += int64(len(more))
	r.buf = r.room[:kept+len(more)]
	return nil
}

// readAll reads all of the directory, for which there must be room. The slices of all
// records stay valid then.
func (r *records) readAll() error {
	if err := readFull(r.ctx, r.src, r.room, r.off); err != nil {
		return err
	}
	r.off, r.buf = r.end, r.room
	return nil
}

// next reads one record. It returns false if there are no more.
func (r *records) next(out *record) (bool, error) {
	b, err := r.peek(minRecord)
	switch {
	case err != nil:
		return false, err
	case len(b) == 0 || bytes.HasPrefix(b, digitalSignature):
		return false, nil
	case len(b) < minRecord || !bytes.HasPrefix(b, recordSignature):
		return false, formatf("its directory holds something else %d bytes before its end", r.left())
	}
	le := binary.LittleEndian
	nameLen, extraLen, commentLen := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	length := minRecord + nameLen + extraLen + commentLen
	if b, err = r.peek(length); err != nil {
		return false, err
	}
	if len(b) < length {
		return false, formatf("an entry reaches beyond the end of the directory")
	}
	r.buf = r.buf[length:]
	*out = record{
		madeBy: le.Uint16(b[4:]), flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]),
		dosTime: le.Uint16(b[12:]), dosDate: le.Uint16(b[14:]),
		crc:   le.Uint32(b[16:]),
		name:  b[minRecord : minRecord+nameLen],
		extra: b[minRecord+nameLen : minRecord+nameLen+extraLen],
	}
	return true, out.sizes(le.Uint32(b[20:]), le.Uint32(b[24:]), le.Uint32(b[42:]))
}

// sizes sets both sizes and the header's offset. It takes the numbers that do not fit
// into the record from its Zip64 field.
func (rec *record) sizes(packed, size, header uint32) error {
	rec.packed, rec.size, rec.header = int64(packed), int64(size), int64(header)
	if packed != saturated32 && size != saturated32 && header != saturated32 {
		return nil
	}
	field := extraField(rec.extra, extraZip64)
	take := func(told uint32, into *int64) error {
		if told != saturated32 {
			return nil
		}
		if len(field) < 8 {
			if into == &rec.size {
				return nil // the size happens to be just this number
			}
			return formatf("an entry lacks its Zip64 field")
		}
		v := binary.LittleEndian.Uint64(field)
		field = field[8:]
		if v > math.MaxInt64/2 {
			return formatf("an entry is said to have %d bytes", v)
		}
		*into = int64(v)
		return nil
	}
	if err := take(size, &rec.size); err != nil {
		return err
	}
	if err := take(packed, &rec.packed); err != nil {
		return err
	}
	return take(header, &rec.header)
}

// readable reports whether this package can unpack the entry.
func (rec *record) readable() bool {
	const cannot = flagEncrypted | flagPatched | flagStrongEncrypted | flagMasked
	return rec.flags&cannot == 0 && (rec.method == methodStored || rec.method == methodDeflated)
}

// maxRatio is the most that deflate can make of a byte: two bits can give 258 bytes.
const maxRatio = 1032

// consistent reports whether the entry's two sizes can both be right.
func (rec *record) consistent() bool {
	switch rec.method {
	case methodStored:
		return rec.size == rec.packed
	case methodDeflated:
		return rec.size/maxRatio <= rec.packed
	}
	return true
}
