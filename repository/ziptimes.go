package repository

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// ZipEra is the age of the server whose zips are made. The server's library decides
// how an entry stores its time.
type ZipEra string

const (
	// ZipNewer entries have the node's times in UTC, as extended timestamps (modified
	// and created) and as NTFS times, besides the DOS time.
	ZipNewer ZipEra = "newer"
	// ZipOlder entries have only the DOS time, in the server's time zone.
	ZipOlder ZipEra = "older"
)

// extra returns the extra field that follows the name in a local or a central header.
// A node here has one time, as if it had been modified when it was created.
func (f zipFormat) extra(name string, t time.Time, local bool) []byte {
	var b []byte
	if f.era == ZipNewer {
		b = appendTimes(b, t, local)
	}
	b = appendUint16s(b, extraUnicode, uint16(5+len(name)))
	b = append(b, 1)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(name)))
	return append(b, name...)
}

// appendTimes appends the extra fields for t. There is no time of access. A central
// header has only the first of the Unix times, whatever its flags say.
func appendTimes(b []byte, t time.Time, local bool) []byte {
	if unix, ok := zipUnixTime(t); ok {
		n := uint16(5)
		if local {
			n += 4
		}
		b = appendUint16s(b, extraTime, n)
		b = append(b, 1|4) // modified, created
		b = binary.LittleEndian.AppendUint32(b, unix)
		if local {
			b = binary.LittleEndian.AppendUint32(b, unix)
		}
	}
	b = appendUint16s(b, extraNTFS, 32)
	b = append(b, 0, 0, 0, 0)
	b = appendUint16s(b, 1, 24)
	ntfs := ntfsTime(t)
	return appendUint64s(b, ntfs, 0, ntfs)
}

// zipUnixTime returns t in the extended timestamp's 32 bits, if it fits.
func zipUnixTime(t time.Time) (uint32, bool) {
	u := t.Unix()
	return uint32(int32(u)), u == int64(int32(u))
}

// ntfsTime returns t in units of 100 ns since 1601.
func ntfsTime(t time.Time) uint64 {
	const epoch = 11_644_473_600 // seconds from 1601 to 1970
	return uint64(t.UnixMilli()+epoch*1000) * 10_000
}

// dosTime returns what t's clock shows. Years have seven bits, from 1980 on. For an
// earlier year, Commons Compress has a constant whose two halves are swapped.
func dosTime(t time.Time) (date, clock uint16) {
	if t.Year() < 1980 {
		return 0, 1<<13 | 1<<8
	}
	return uint16(t.Day() + int(t.Month())<<5 + (t.Year()-1980)<<9),
		uint16(t.Second()/2 + t.Minute()<<5 + t.Hour()<<11)
}
