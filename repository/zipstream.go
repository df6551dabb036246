package repository

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
)

// zipStream writes a zip as Alfresco does (Commons Compress on a plain output
// stream). Every entry is deflated, including folders. Each has its sizes in a data
// descriptor after the data, a UTF-8 name with the Unicode path extra field, and the
// node's times as the [ZipEra] requires. archive/zip cannot write that: it stores
// folder entries, and uses the same extra fields in local and central headers.
//
// It needs no seeking and holds nothing but the central directory in memory. It is
// not safe for concurrent use.
type zipStream struct {
	format  zipFormat
	out     *bufio.Writer
	written int64
	entries []zipEntry
	deflate *flate.Writer
	buf     []byte // scratch for headers

	open  bool // an entry is being written
	crc   hash.Hash32
	size  int64 // of the open entry so far
	start int64 // where its compressed bytes begin
}

type zipEntry struct {
	name             string
	modified         time.Time
	crc              uint32
	size, compressed int64
	offset           int64
}

const (
	zipBufferSize = 256 << 10

	sigLocal     = 0x04034b50
	sigData      = 0x08074b50
	sigCentral   = 0x02014b50
	sigEnd       = 0x06054b50
	sigEnd64     = 0x06064b50
	sigLocator64 = 0x07064b50

	flagsStream  = 1<<3 | 1<<11 // data descriptor, UTF-8 name
	methodFlate  = 8
	version20    = 20
	version45    = 45
	zip32Max     = 1<<32 - 1
	zip32Entries = 1<<16 - 1

	extraZip64   = 0x0001
	extraNTFS    = 0x000a
	extraTime    = 0x5455
	extraUnicode = 0x7075
)

// zipFormat is what differs between the zips of servers.
type zipFormat struct {
	era  ZipEra
	zone *time.Location // of the DOS times
	// maxEntry is the size at which an entry ends the zip: zip32Max, or less for
	// tests that have no 4 GiB to spare.
	maxEntry int64
}

// errZip64Required ends a zip with an entry of 4 GiB or more. Its size was not known
// when its header was written, and Commons Compress then refuses to go on.
var errZip64Required = errors.New("entry of 4 GiB or more in a zip that is streamed")

// newZipStream returns a zipStream on w. It uses the fastest level of deflate: most
// documents are compressed already, and 2 GiB must not take minutes.
func newZipStream(w io.Writer, format zipFormat) *zipStream {
	z := &zipStream{format: format, crc: crc32.NewIEEE()}
	z.out = bufio.NewWriterSize(w, zipBufferSize)
	z.deflate, _ = flate.NewWriter(zipSink{z}, flate.BestSpeed) // the level is valid
	return z
}

// zipSink counts what goes into the zip.
type zipSink struct{ z *zipStream }

func (s zipSink) Write(p []byte) (int, error) {
	n, err := s.z.out.Write(p)
	s.z.written += int64(n)
	return n, err
}

// create begins an entry. A folder's name ends in a slash.
func (z *zipStream) create(name string, modified time.Time) error {
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, `\`, "/") // as Commons Compress does if the host is FAT
	}
	z.entries = append(z.entries, zipEntry{name: name, modified: modified, offset: z.written})
	date, clock := dosTime(modified.In(z.format.zone))
	extra := z.format.extra(name, modified, true)
	b := z.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, sigLocal)
	b = appendUint16s(b, version20, flagsStream, methodFlate, clock, date)
	b = append(b, make([]byte, 12)...) // CRC and sizes follow in the descriptor
	b = appendUint16s(b, uint16(len(name)), uint16(len(extra)))
	b = append(b, name...)
	b = append(b, extra...)
	if err := z.flush(b); err != nil {
		return err
	}
	z.crc.Reset()
	z.size, z.start, z.open = 0, z.written, true
	z.deflate.Reset(zipSink{z})
	return nil
}

// Write adds content to the entry that was created last.
func (z *zipStream) Write(p []byte) (int, error) {
	z.crc.Write(p)
	z.size += int64(len(p))
	return z.deflate.Write(p)
}

// closeEntry ends the entry and writes its data descriptor.
func (z *zipStream) closeEntry() error {
	if err := z.deflate.Close(); err != nil {
		return err
	}
	z.open = false
	e := &z.entries[len(z.entries)-1]
	e.crc, e.size, e.compressed = z.crc.Sum32(), z.size, z.written-z.start
	if e.size >= z.format.maxEntry || e.compressed >= z.format.maxEntry {
		return errZip64Required
	}
	b := z.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, sigData)
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.compressed))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.size))
	return z.flush(b)
}

// Close writes the central directory, in Zip64 form if the zip needs it.
func (z *zipStream) Close() error {
	start := z.written
	for i := range z.entries {
		if err := z.flush(z.central(&z.entries[i], z.buf[:0])); err != nil {
			return err
		}
	}
	size, count, end := z.written-start, len(z.entries), z.written
	b := z.buf[:0]
	if count >= zip32Entries || size >= zip32Max || start >= zip32Max {
		b = binary.LittleEndian.AppendUint32(b, sigEnd64)
		b = binary.LittleEndian.AppendUint64(b, 44)
		b = appendUint16s(b, version45, version45)
		b = append(b, make([]byte, 8)...) // disks
		b = appendUint64s(b, uint64(count), uint64(count), uint64(size), uint64(start))
		b = binary.LittleEndian.AppendUint32(b, sigLocator64)
		b = append(b, make([]byte, 4)...)
		b = appendUint64s(b, uint64(end))
		b = binary.LittleEndian.AppendUint32(b, 1)
	}
	b = binary.LittleEndian.AppendUint32(b, sigEnd)
	b = append(b, make([]byte, 4)...)
	n := uint16(min(count, zip32Entries))
	b = appendUint16s(b, n, n)
	b = binary.LittleEndian.AppendUint32(b, uint32(min(size, zip32Max)))
	b = binary.LittleEndian.AppendUint32(b, uint32(min(start, zip32Max)))
	b = appendUint16s(b, 0) // comment
	if err := z.flush(b); err != nil {
		return err
	}
	return z.out.Flush()
}

// flush writes a header built in the scratch buffer and keeps the buffer.
func (z *zipStream) flush(b []byte) error {
	z.buf = b
	_, err := zipSink{z}.Write(b)
	return err
}

// central appends an entry's central directory header to b.
func (z *zipStream) central(e *zipEntry, b []byte) []byte {
	date, clock := dosTime(e.modified.In(z.format.zone))
	extra := z.format.extra(e.name, e.modified, false)
	version := uint16(version20)
	if e.offset >= zip32Max { // the sizes always fit: see errZip64Required
		version = version45
		extra = appendUint16s(extra, extraZip64, 8)
		extra = appendUint64s(extra, uint64(e.offset))
	}
	b = binary.LittleEndian.AppendUint32(b, sigCentral)
	b = appendUint16s(b, version, version, flagsStream, methodFlate, clock, date)
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.compressed))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.size))
	b = appendUint16s(b, uint16(len(e.name)), uint16(len(extra)), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 0) // no attributes: Alfresco sets none, not even for folders
	b = binary.LittleEndian.AppendUint32(b, uint32(min(e.offset, zip32Max)))
	b = append(b, e.name...)
	return append(b, extra...)
}

func appendUint16s(b []byte, vs ...uint16) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func appendUint64s(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
