package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"downloadfs/download"
)

// errRecord means that this version cannot have written a record of the index.
var errRecord = errors.New("damaged index record")

// recordVersion is the first byte of every meta record.
const recordVersion = 1

// maxName is how much of an archive's file name a record keeps.
const maxName = 1024

// meta is what the index knows about one data file besides its blocks.
type meta struct {
	info download.ArchiveInfo
	used time.Time // when a reader last opened it, or it was first fetched
}

// append appends the encoded record to dst.
func (m meta) append(dst []byte) []byte {
	dst = append(dst, recordVersion)
	dst = binary.AppendVarint(dst, m.info.Size)
	dst = binary.AppendVarint(dst, unixNano(m.info.ModifiedAt))
	dst = binary.AppendVarint(dst, unixNano(m.used))
	dst = appendString(dst, string(m.info.ID))
	return appendString(dst, m.info.Name[:min(len(m.info.Name), maxName)])
}

// decodeMeta decodes a record that append made. It returns errRecord for anything
// else.
func decodeMeta(p []byte) (meta, error) {
	d := decoder{p: p}
	if d.byte() != recordVersion {
		return meta{}, fmt.Errorf("version: %w", errRecord)
	}
	var m meta
	m.info.Size = d.varint()
	m.info.ModifiedAt = fromUnixNano(d.varint())
	m.used = fromUnixNano(d.varint())
	id := d.string()
	m.info.Name = d.string()
	if d.bad || len(d.p) != 0 || m.info.Size < 0 || blockCount(m.info.Size) > maxBlocks {
		return meta{}, fmt.Errorf("meta: %w", errRecord)
	}
	var err error
	if m.info.ID, err = download.ParseID(id); err != nil {
		return meta{}, fmt.Errorf("meta: %w: %w", errRecord, err)
	}
	return m, nil
}

// chunkBlocks is how many blocks one chunk record describes. It is small enough to be
// rewritten often, and large enough to keep the index small.
const chunkBlocks = 64

// chunkRecordLen is the length of every chunk record.
const chunkRecordLen = 8 + 4*chunkBlocks

// chunk says which of chunkBlocks consecutive blocks are there, and holds their sums.
type chunk struct {
	present uint64
	sums    [chunkBlocks]uint32
}

// set claims block i of the chunk.
func (c *chunk) set(i int, sum uint32) {
	c.present |= 1 << i
	c.sums[i] = sum
}

// clear withdraws the claim of block i.
func (c *chunk) clear(i int) {
	c.present &^= 1 << i
	c.sums[i] = 0
}

// has reports whether block i is claimed.
func (c *chunk) has(i int) bool { return c.present&(1<<i) != 0 }

// top returns one more than the highest claimed block.
func (c *chunk) top() int { return bits.Len64(c.present) }

// append appends the encoded record to dst.
func (c *chunk) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, c.present)
	for _, s := range c.sums {
		dst = binary.BigEndian.AppendUint32(dst, s)
	}
	return dst
}

// decodeChunk decodes a record that append made. It returns errRecord for anything
// else.
func decodeChunk(p []byte) (chunk, error) {
	if len(p) != chunkRecordLen {
		return chunk{}, fmt.Errorf("chunk: %w", errRecord)
	}
	c := chunk{present: binary.BigEndian.Uint64(p)}
	for i := range c.sums {
		c.sums[i] = binary.BigEndian.Uint32(p[8+4*i:])
	}
	return c, nil
}

// unixNano returns 0 for the zero time, whose time.Time.UnixNano is undefined.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromUnixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decoder takes values off the front of p. After the first value that is missing, bad
// is set and every further value is zero.
type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if d.bad || len(d.p) == 0 {
		d.bad = true
		return 0
	}
	b := d.p[0]
	d.p = d.p[1:]
	return b
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.p)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) string() string {
	v, n := binary.Uvarint(d.p)
	if d.bad || n <= 0 || v > uint64(len(d.p)-n) {
		d.bad = true
		return ""
	}
	s := string(d.p[n : n+int(v)])
	d.p = d.p[n+int(v):]
	return s
}
