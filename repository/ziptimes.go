package repository

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// ZipEra says how old the server is whose zips are made: its library decides how
// an entry tells its time.
type ZipEra string

const (
	// ZipNewer entries have the node's times in UTC: as extended timestamps
	// (modified and created) and as NTFS times, besides the DOS time.
	ZipNewer ZipEra = "newer"
	// ZipOlder entries have the DOS time alone, which is in the server's time zone.
	ZipOlder ZipEra = "older"
)

// extra is what a local or a central header carries behind the name. A node here
// has one time, as if it had been modified when it was created.
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

// appendTimes adds the extra fields of t. There is no time of access, and a central
// header has of the Unix times the first only, whatever its flags say.
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

// zipUnixTime is t in the extended timestamp's 32 bits, if it fits.
func zipUnixTime(t time.Time) (uint32, bool) {
	u := t.Unix()
	return uint32(int32(u)), u == int64(int32(u))
}

// ntfsTime counts 100 ns since 1601.
func ntfsTime(t time.Time) uint64 {
	const epoch = 11_644_473_600 // seconds from 1601 to 1970
	return uint64(t.UnixMilli()+epoch*1000) * 10_000
}

// dosTime is what t's clock shows. Years have seven bits, from 1980 on; for a year
// before, Commons Compress has a constant whose two halves are the wrong way round.
func dosTime(t time.Time) (date, clock uint16) {
	if t.Year() < 1980 {
		return 0, 1<<13 | 1<<8
	}
	return uint16(t.Day() + int(t.Month())<<5 + (t.Year()-1980)<<9),
		uint16(t.Second()/2 + t.Minute()<<5 + t.Hour()<<11)
}
