package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
	"unicode/utf8"
)

const (
	flagDescriptor = 1 << 3
	version20      = 20
	version45      = 45 // Zip64

	zip64FieldLen = 4
	unixFieldLen  = 4 + 5
	ntfsFieldLen  = 4 + 32
)

// at returns e with its times set to t.
func (e stitched) at(t time.Time) stitched {
	e.flags |= flagUTF8
	e.dosDate = 1<<5 | 1
	if t.IsZero() {
		return e
	}
	e.ticks = t.UnixMicro()*10 + ntfsEpoch
	if t = t.UTC(); t.Year() >= 1980 && t.Year() < 1980+128 {
		e.dosDate = uint16(t.Day() + int(t.Month())<<5 + (t.Year()-1980)<<9)
		e.dosTime = uint16(t.Second()/2 + t.Minute()<<5 + t.Hour()<<11)
	}
	return e
}

// ticks returns when an entry was modified, in NTFS units, if its extra fields say
// so.
func (rec *record) ticks() int64 {
	if ticks, ok := ntfsTime(extraField(rec.extra, extraNTFS)); ok {
		return ticks + ntfsEpoch
	}
	if b := extraField(rec.extra, extraTimes); len(b) >= 5 && b[0]&1 != 0 {
		return int64(int32(binary.LittleEndian.Uint32(b[1:])))*1e7 + ntfsEpoch
	}
	return 0
}

// unix returns the time in the 32 bits that the extended timestamp has for it.
func (e *stitched) unix() (int32, bool) {
	s := (e.ticks - ntfsEpoch) / 1e7
	return int32(s), e.ticks > 0 && s == int64(int32(s))
}

// large reports whether an entry's sizes need Zip64. If so, its local header has both
// in its Zip64 field.
func (e *stitched) large() bool { return e.packed >= saturated32 || e.size >= saturated32 }

func (e *stitched) timesLen() int64 {
	var n int64
	if _, ok := e.unix(); ok {
		n += unixFieldLen
	}
	if e.ticks > 0 {
		n += ntfsFieldLen
	}
	return n
}

func (s *Stitched) headerLen(piece int, e *stitched) int64 {
	n := localLen + int64(len(s.pieces[piece].Path)) + int64(len(e.name)) + e.timesLen()
	if e.large() {
		n += zip64FieldLen + 16
	}
	return n
}

func (s *Stitched) recordLen(piece int, e *stitched, at int64) int64 {
	return minRecord + int64(len(s.pieces[piece].Path)) + int64(len(e.name)) + e.timesLen() + e.zip64Len(at)
}

// zip64Len returns how long the Zip64 field of a directory's record is.
func (e *stitched) zip64Len(at int64) int64 {
	var n int64
	if e.size >= saturated32 {
		n += 8
	}
	if e.packed >= saturated32 {
		n += 8
	}
	if at >= saturated32 {
		n += 8
	}
	if n > 0 {
		n += zip64FieldLen
	}
	return n
}

// fullName returns an entry's full name.
func (s *Stitched) fullName(piece int, e *stitched) []byte {
	return append([]byte(s.pieces[piece].Path), e.name...)
}

// flagsFor returns an entry's flags. Its sizes are known. Its name is in UTF-8 as
// soon as what is put in front of it is.
func (e *stitched) flagsFor(name []byte) uint16 {
	flags := e.flags &^ flagDescriptor
	if flags&flagUTF8 == 0 && utf8.Valid(name) {
		flags |= flagUTF8
	}
	return flags
}

func saturate(n int64) uint32 { return uint32(min(n, saturated32)) }

// appendHeader appends an entry's local header.
func (s *Stitched) appendHeader(b []byte, piece int, e *stitched) []byte {
	le := binary.LittleEndian
	name := s.fullName(piece, e)
	extra := int(s.headerLen(piece, e)) - localLen - len(name)
	version, packed, size := uint16(version20), uint32(e.packed), uint32(e.size)
	if e.large() {
		version, packed, size = version45, saturated32, saturated32
	}
	b = append(b, localSignature...)
	b = appendUint16s(b, version, e.flagsFor(name), e.method, e.dosTime, e.dosDate)
	b = le.AppendUint32(b, e.crc)
	b = le.AppendUint32(b, packed)
	b = le.AppendUint32(b, size)
	b = appendUint16s(b, uint16(len(name)), uint16(extra))
	b = append(b, name...)
	if e.large() {
		b = appendUint16s(b, extraZip64, 16)
		b = le.AppendUint64(b, uint64(e.size))
		b = le.AppendUint64(b, uint64(e.packed))
	}
	return e.appendTimes(b)
}

// appendRecord appends an entry's record in the directory. at is where its local
// header is.
func (s *Stitched) appendRecord(b []byte, piece int, e *stitched, at int64) []byte {
	le := binary.LittleEndian
	name := s.fullName(piece, e)
	zip64 := e.zip64Len(at)
	version := uint16(version20)
	if zip64 > 0 || e.large() {
		version = version45
	}
	var attributes uint32 // as on DOS, which has a bit for folders
	if isFolder(name) {
		attributes = 1 << 4
	}
	b = append(b, recordSignature...)
	b = appendUint16s(b, version, version, e.flagsFor(name), e.method, e.dosTime, e.dosDate)
	b = le.AppendUint32(b, e.crc)
	b = le.AppendUint32(b, saturate(e.packed))
	b = le.AppendUint32(b, saturate(e.size))
	b = appendUint16s(b, uint16(len(name)), uint16(zip64+e.timesLen()), 0, 0, 0)
	b = le.AppendUint32(b, attributes)
	b = le.AppendUint32(b, saturate(at))
	b = append(b, name...)
	if zip64 > 0 {
		b = appendUint16s(b, extraZip64, uint16(zip64-zip64FieldLen))
		for _, n := range []int64{e.size, e.packed, at} {
			if n >= saturated32 {
				b = le.AppendUint64(b, uint64(n))
			}
		}
	}
	return e.appendTimes(b)
}

// appendTimes appends the extra fields of an entry's time.
func (e *stitched) appendTimes(b []byte) []byte {
	le := binary.LittleEndian
	if unix, ok := e.unix(); ok {
		b = appendUint16s(b, extraTimes, unixFieldLen-4)
		b = append(b, 1) // modified
		b = le.AppendUint32(b, uint32(unix))
	}
	if e.ticks > 0 {
		b = appendUint16s(b, extraNTFS, ntfsFieldLen-4, 0, 0, 1, 24)
		b = le.AppendUint64(b, uint64(e.ticks))
		b = le.AppendUint64(b, 0)               // accessed
		b = le.AppendUint64(b, uint64(e.ticks)) // created: the same, for want of better
	}
	return b
}

// appendEnd appends the end records of a zip whose directory is at start.
func appendEnd(b []byte, entries, size, start int64) []byte {
	le := binary.LittleEndian
	if entries >= saturated16 || size >= saturated32 || start >= saturated32 {
		b = append(b, end64Signature...)
		b = le.AppendUint64(b, end64Len-12)
		b = appendUint16s(b, version45, version45, 0, 0, 0, 0)
		for _, n := range []int64{entries, entries, size, start} {
			b = le.AppendUint64(b, uint64(n))
		}
		b = append(b, locatorSignature...)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, uint64(start+size))
		b = le.AppendUint32(b, 1)
	}
	b = append(b, endSignature...)
	n := uint16(min(entries, saturated16))
	b = appendUint16s(b, 0, 0, n, n)
	b = le.AppendUint32(b, saturate(size))
	b = le.AppendUint32(b, saturate(start))
	return appendUint16s(b, 0)
}

func appendUint16s(b []byte, vs ...uint16) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// dataOf returns where an entry's packed bytes begin, given the offset of its local
// header. It reads that header, because its extra field differs from the directory's.
func dataOf(ctx context.Context, src Source, header int64) (int64, error) {
	b := make([]byte, localLen)
	if err := readFull(ctx, src, b, header); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(b, localSignature) {
		return 0, damagedf("the entry at %d is not where the directory says", header)
	}
	le := binary.LittleEndian
	return header + localLen + int64(le.Uint16(b[26:])) + int64(le.Uint16(b[28:])), nil
}
