package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
)

const (
	endLen        = 22
	end64Len      = 56
	locatorLen    = 20
	maxComment    = 1<<16 - 1
	tailLen       = 66 << 10 // the end records and the longest comment
	saturated16   = 1<<16 - 1
	saturated32   = 1<<32 - 1
	maxEntries    = 4 << 20
	maxDirectory  = 1 << 30
	minRecord     = 46
	signatureLen  = 4
	splitSentence = "it is one part of several"
)

var (
	endSignature     = []byte("PK\x05\x06")
	end64Signature   = []byte("PK\x06\x06")
	locatorSignature = []byte("PK\x06\x07")
	recordSignature  = []byte("PK\x01\x02")
	localSignature   = []byte("PK\x03\x04")
	digitalSignature = []byte("PK\x05\x05")
)

// end holds what the records after the central directory say. Offsets are in the
// archive. base is the length of what precedes the zip.
type end struct {
	records uint64
	offset  int64
	size    int64
	base    int64
	zip64   bool
}

// findEnd reads the archive's tail and finds the directory.
func findEnd(ctx context.Context, src Source, size int64) (end, error) {
	if size < endLen {
		return end{}, formatf("%d bytes are not a zip", size)
	}
	tail := make([]byte, min(size, tailLen))
	start := size - int64(len(tail))
	if err := readFull(ctx, src, tail, start); err != nil {
		return end{}, err
	}
	// Search from the back: a comment, or a file, may hold what looks like an end
	// record.
	first := formatf("it has no end record; is it cut off?")
	found := false
	for i := len(tail) - endLen; i >= 0; i-- {
		if !bytes.HasPrefix(tail[i:], endSignature) {
			continue
		}
		if comment := int(binary.LittleEndian.Uint16(tail[i+20:])); i+endLen+comment > len(tail) {
			continue
		}
		e, err := parseEnd(ctx, src, tail[i:i+endLen], start+int64(i))
		if err == nil || ctx.Err() != nil {
			return e, err
		}
		if !found {
			first, found = err, true
		}
	}
	return end{}, first
}

// parseEnd parses the end record b that starts at pos.
func parseEnd(ctx context.Context, src Source, b []byte, pos int64) (end, error) {
	le := binary.LittleEndian
	disk, startDisk := le.Uint16(b[4:]), le.Uint16(b[6:])
	e := end{records: uint64(le.Uint16(b[10:]))}
	length, offset := uint64(le.Uint32(b[12:])), uint64(le.Uint32(b[16:]))
	if e.records == saturated16 || length == saturated32 || offset == saturated32 || disk == saturated16 {
		b64, at, err := findEnd64(ctx, src, pos)
		if err != nil {
			return end{}, err
		}
		if b64 != nil {
			if le.Uint32(b64[16:]) != 0 || le.Uint32(b64[20:]) != 0 {
				return end{}, formatf(splitSentence)
			}
			e.zip64, pos, disk, startDisk = true, at, 0, 0
			e.records, length, offset = le.Uint64(b64[32:]), le.Uint64(b64[40:]), le.Uint64(b64[48:])
		}
	}
	switch {
	case disk != 0 || startDisk != 0:
		return end{}, formatf(splitSentence)
	case e.records > maxEntries:
		return end{}, formatf("it has %d entries; the limit is %d", e.records, maxEntries)
	case length > maxDirectory:
		return end{}, formatf("its directory has %d bytes; the limit is %d", length, maxDirectory)
	case length > uint64(pos) || offset > uint64(pos)-length:
		return end{}, formatf("its directory lies outside the archive")
	case length < e.records*minRecord:
		return end{}, formatf("its directory is said to have %d entries in %d bytes", e.records, length)
	}
	e.size, e.offset = int64(length), pos-int64(length)
	e.base = e.offset - int64(offset)
	if e.base > 0 && e.records > 0 {
		// Either something precedes the zip, or something follows its directory.
		sig := make([]byte, signatureLen)
		if err := readFull(ctx, src, sig, int64(offset)); err != nil {
			return end{}, err
		}
		if bytes.Equal(sig, recordSignature) {
			e.offset, e.base = int64(offset), 0
		}
	}
	return e, nil
}

// findEnd64 returns the Zip64 end record that belongs to the end record at pos, and
// its offset. It returns nil if there is none.
func findEnd64(ctx context.Context, src Source, pos int64) ([]byte, int64, error) {
	if pos < locatorLen+end64Len {
		return nil, 0, nil
	}
	near := make([]byte, end64Len+locatorLen)
	at := pos - int64(len(near))
	if err := readFull(ctx, src, near, at); err != nil {
		return nil, 0, err
	}
	locator := near[end64Len:]
	if !bytes.HasPrefix(locator, locatorSignature) {
		return nil, 0, nil
	}
	// Usually it is right before the locator. That also holds if something precedes
	// the zip and the locator is wrong.
	if bytes.HasPrefix(near, end64Signature) {
		return near[:end64Len], at, nil
	}
	told := binary.LittleEndian.Uint64(locator[8:])
	if told > uint64(at) {
		return nil, 0, formatf("its Zip64 record lies outside the archive")
	}
	b := make([]byte, end64Len)
	if err := readFull(ctx, src, b, int64(told)); err != nil {
		return nil, 0, err
	}
	if !bytes.HasPrefix(b, end64Signature) {
		return nil, 0, formatf("its Zip64 record is not where it is said to be")
	}
	return b, int64(told), nil
}
