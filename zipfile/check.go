package zipfile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// Check reports whether a zip is whole and right. Its directory must be readable. Each
// entry must be where the directory says, under the name that it says, ahead of the
// next entry and of the directory (twins among folders may share a place), and must unpack to the bytes whose number and
// checksum the directory has. Check returns the number of files and their total
// unpacked size. Of entries that this package cannot unpack it checks the place only.
//
// Check reads src once from its beginning to its end. Each time that it has unpacked
// a megabyte or so it calls rest, if that is not nil, and ends with the error that rest
// returns.
func Check(ctx context.Context, src Source, size int64, rest func(context.Context) error) (files, unpacked int64, err error) {
	e, err := findEnd(ctx, src, size)
	if err != nil {
		return 0, 0, err
	}
	c := newChecker(ctx, src, size, rest)
	_, err = eachRecord(ctx, src, e, func(rec *record, _ int64) error {
		if err := c.entry(rec, rec.header+e.base); err != nil {
			return err
		}
		unpacked += rec.size
		if !isFolder(rec.name) {
			files++
		}
		return nil
	})
	return files, unpacked, err
}

// checker checks one entry after the other.
type checker struct {
	ctx    context.Context
	src    Source
	size   int64
	rest   func(context.Context) error
	end    int64 // of the entry before
	off    int64 // of what in has not read yet
	failed error // the source's
	in     *bufio.Reader
	plain  io.ReadCloser // unpacks in
	room   []byte
	worked int // bytes since the last rest
}

// restEvery is how many unpacked bytes lie between two calls of rest.
const restEvery = 1 << 20

func newChecker(ctx context.Context, src Source, size int64, rest func(context.Context) error) *checker {
	c := &checker{ctx: ctx, src: src, size: size, rest: rest, room: make([]byte, 64<<10)}
	c.in = bufio.NewReaderSize(c, 256<<10)
	c.plain = flate.NewReader(c.in)
	return c
}

// Read implements io.Reader for in.
func (c *checker) Read(p []byte) (int, error) {
	if c.off >= c.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.size-c.off)]
	n, err := c.src.ReadAt(c.ctx, p, c.off)
	c.off += int64(n)
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.failed = err
	return 0, err
}

// seek makes in go on at an offset.
func (c *checker) seek(off int64) {
	if skip := off - (c.off - int64(c.in.Buffered())); skip >= 0 && skip <= int64(c.in.Buffered()) {
		_, _ = c.in.Discard(int(skip)) // from memory
		return
	}
	c.off = off
	c.in.Reset(c)
}

// full fills p from in.
func (c *checker) full(p []byte, header int64) error {
	if _, err := io.ReadFull(c.in, p); c.failed != nil {
		return c.failed
	} else if err != nil {
		return damagedf("the entry at %d reaches beyond the end of the archive", header)
	}
	return nil
}

// entry checks the entry of a record.
func (c *checker) entry(rec *record, header int64) error {
	// The library of real servers has one place for all folders of the same path and
	// time.
	again := header < c.end
	if again && (!isFolder(rec.name) || rec.size > 0) {
		return damagedf("the entry at %d overlaps the entry before it", header)
	}
	c.seek(header)
	b := c.room[:localLen]
	if err := c.full(b, header); err != nil {
		return err
	}
	le := binary.LittleEndian
	nameLen, extraLen := int(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
	if !bytes.HasPrefix(b, localSignature) || nameLen != len(rec.name) || le.Uint16(b[8:]) != rec.method {
		return damagedf("the entry at %d is not what the directory says", header)
	}
	name := c.room[:nameLen]
	if err := c.full(name, header); err != nil {
		return err
	}
	if !bytes.Equal(name, rec.name) {
		return damagedf("the name of the entry at %d differs from the one in the directory", header)
	}
	if again {
		return nil
	}
	data := header + localLen + int64(nameLen) + extraLen
	if c.end = data + rec.packed; c.end > c.size {
		return damagedf("the entry at %d reaches beyond the end of the archive", header)
	}
	if !rec.readable() {
		return nil
	}
	c.seek(data)
	from := io.LimitReader(c.in, rec.packed)
	if rec.method == methodDeflated {
		from = c.plain
		if err := c.plain.(flate.Resetter).Reset(c.in, nil); err != nil {
			return err
		}
	}
	return c.unpack(rec, from, header)
}

// unpack compares the bytes of an entry with its record.
func (c *checker) unpack(rec *record, from io.Reader, header int64) error {
	var size int64
	var sum uint32
	for {
		n, err := from.Read(c.room)
		sum = crc32.Update(sum, crc32.IEEETable, c.room[:n])
		size += int64(n)
		if c.worked += n; c.worked >= restEvery && c.rest != nil {
			c.worked = 0
			if err := c.rest(c.ctx); err != nil {
				return err
			}
		}
		switch {
		case c.failed != nil:
			return c.failed
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case size > rec.size || err == io.EOF && size < rec.size:
			return damagedf("the entry at %d has not the %d bytes that the directory says", header, rec.size)
		case err == io.EOF && sum != rec.crc:
			return damagedf("the checksum of the entry at %d differs from the one in the directory", header)
		case err == io.EOF:
			return nil
		case err != nil:
			return damagedf("the entry at %d cannot be unpacked: %v", header, err)
		}
	}
}
