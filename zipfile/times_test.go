package zipfile

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ntfs(t time.Time) string {
	ticks := t.UnixNano()/100 + ntfsEpoch
	b := []byte{0, 0, 0, 0, 1, 0, 24, 0}
	b = binary.LittleEndian.AppendUint64(b, uint64(ticks))
	return field(extraNTFS, string(b)+"0123456789abcdef")
}

func unix(flags byte, seconds int32, rest string) string {
	return field(extraTimes, string(binary.LittleEndian.AppendUint32([]byte{flags}, uint32(seconds)))+rest)
}

// Proves S-138.
func TestTimes(t *testing.T) {
	const date, clock = 46<<9 | 7<<5 | 1, 12<<11 | 34<<5 | 28 // 2026-07-01 12:34:56
	exact := time.Date(2026, 7, 1, 10, 34, 56, 123_456_700, time.UTC)
	vienna, err := time.LoadLocation("Europe/Vienna")
	require.NoError(t, err)
	local := time.Date(2026, 7, 1, 12, 34, 56, 0, vienna)
	tests := map[string]struct {
		made made
		want time.Time
	}{
		"local":                      {made{date: date, clock: clock}, local},
		"none":                       {made{}, time.Date(1980, 1, 1, 0, 0, 0, 0, vienna)},
		"no date":                    {made{date: 15 << 5, clock: 0xffff}, time.Date(1981, 3, 2, 8, 4, 2, 0, vienna)},
		"NTFS":                       {made{date: date, extra: unix(1, 1, "") + ntfs(exact)}, exact},
		"NTFS, 1950":                 {made{extra: ntfs(time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC))}, time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)},
		"NTFS, 2200":                 {made{extra: ntfs(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))}, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)},
		"NTFS, zero":                 {made{date: date, clock: clock, extra: field(extraNTFS, "\x00\x00\x00\x00\x01\x00\x18\x00"+string(make([]byte, 24)))}, local},
		"NTFS, cut":                  {made{date: date, clock: clock, extra: field(extraNTFS, "\x00\x00\x00\x00\x01\x00\x18\x00abc")}, local},
		"NTFS, empty":                {made{date: date, clock: clock, extra: field(extraNTFS, "")}, local},
		"Unix":                       {made{date: date, extra: unix(1, 1_000_000_000, "")}, time.Unix(1_000_000_000, 0)},
		"Unix, 1950":                 {made{extra: unix(1, -631152000, "")}, time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)},
		"Unix, flags beyond data":    {made{extra: unix(5, 1_000_000_000, "")}, time.Unix(1_000_000_000, 0)},
		"Unix, data beyond flags":    {made{extra: unix(1, 1_000_000_000, "12345678")}, time.Unix(1_000_000_000, 0)},
		"Unix, only others":          {made{date: date, clock: clock, extra: unix(6, 7, "1234")}, local},
		"Unix, cut":                  {made{date: date, clock: clock, extra: field(extraTimes, "\x01ab")}, local},
		"fields that are no fields":  {made{date: date, clock: clock, extra: "\x0a\x00\xff\xff12"}, local},
		"behind what is not known":   {made{extra: field(0x1234, "abc") + ntfs(exact)}, exact},
		"in the local header only":   {made{date: date, clock: clock, local: ntfs(exact)}, local},
		"directory without an entry": {made{name: "d/x"}, time.Time{}},
		"directory with an entry":    {made{name: "d/", date: date, clock: clock}, local},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.made.name == "" {
				test.made.name = "x"
			}
			b := makeZip(test.made)
			x, err := ReadIndex(t.Context(), bytesSource(b), int64(len(b)), vienna)
			require.NoError(t, err)
			got := x.Info(1).Modified
			assert.True(t, test.want.Equal(got), "%v, want %v", got, test.want)
		})
	}
}
