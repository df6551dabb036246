package zipfile

import (
	"encoding/binary"
	"math"
	"time"
)

// ntfsEpoch is 1601-01-01 in units of 100 ns before 1970.
const ntfsEpoch = 116444736000000000

// modified returns when an entry was modified, in units of 100 ns since 1970. It prefers
// the NTFS field, which is exact and in UTC, then the Unix times, then the record
// itself. The record's time is local to the zip's maker; modified takes it to be in
// zone.
func (rec *record) modified(zone *time.Location) int64 {
	if ticks, ok := ntfsTime(extraField(rec.extra, extraNTFS)); ok {
		return ticks
	}
	// The modification time comes first, if the flags say that there is one. Do not
	// believe how many times follow: a central field has at most one.
	if b := extraField(rec.extra, extraTimes); len(b) >= 5 && b[0]&1 != 0 {
		return int64(int32(binary.LittleEndian.Uint32(b[1:]))) * 1e7
	}
	return dosTime(rec.dosDate, rec.dosTime, zone)
}

// ntfsTime reads the NTFS field: four reserved bytes, then tagged attributes. It
// returns units of 100 ns since 1970.
func ntfsTime(b []byte) (int64, bool) {
	if len(b) < 4 {
		return 0, false
	}
	for b = b[4:]; len(b) >= 4; {
		tag, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; len(b) < n {
			return 0, false
		}
		if tag == 1 && n >= 8 {
			ticks := binary.LittleEndian.Uint64(b)
			if ticks == 0 || ticks > math.MaxInt64 {
				return 0, false
			}
			// Nanoseconds cannot represent times before 1678 and after 2262.
			const least, most = math.MinInt64/100 + 1, math.MaxInt64 / 100
			return min(max(int64(ticks)-ntfsEpoch, least), most), true
		}
		b = b[n:]
	}
	return 0, false
}

// dosTime reads the record's own time, which may not be a date at all.
func dosTime(date, clock uint16, zone *time.Location) int64 {
	month, day := max(int(date>>5&15), 1), max(int(date&31), 1)
	return time.Date(1980+int(date>>9), time.Month(month), day,
		int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, zone).Unix() * 1e7
}
