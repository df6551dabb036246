package repository

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// HttpRangeProcessor.Range.constructRange, for content of 1000 bytes.
func TestParseRange(t *testing.T) {
	tests := []struct {
		spec string
		want byteRange
		ok   bool
	}{
		{"0-499", byteRange{0, 499}, true},
		{"500-", byteRange{500, 999}, true},
		{"999-", byteRange{999, 999}, true},
		{"-500", byteRange{0, 500}, true},
		{"-", byteRange{0, 999}, true},
		{"0-99999", byteRange{0, 99999}, true},
		{"1000-2000", byteRange{1000, 2000}, true},
		{"0-499/1234", byteRange{0, 499}, true},
		{"+1-+2", byteRange{1, 2}, true},
		{"1000-", byteRange{}, false},
		{"800-700", byteRange{}, false},
		{"5--3", byteRange{}, false},
		{"--5", byteRange{}, false},
		{"garbage", byteRange{}, false},
		{"a-b", byteRange{}, false},
		{" 0-5", byteRange{}, false},
		{"0-5 ", byteRange{}, false},
		{"5", byteRange{}, false},
		{"", byteRange{}, false},
		{"/", byteRange{}, false},
		{"0-9223372036854775808", byteRange{}, false},
	}
	for _, tt := range tests {
		got, ok := parseRange(tt.spec, 1000)
		require.Equal(t, tt.ok, ok, tt.spec)
		if ok {
			require.Equal(t, tt.want, got, tt.spec)
		}
	}
	_, ok := parseRange("0-", 0)
	require.False(t, ok, "an open range of an empty file")
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"0-1,5-", "-1", "0-99999999999999999999", ", ,", "1-2/3,4-5"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, spec string, size int64) {
		ranges, ok := parseRanges(spec, size)
		if !ok {
			return
		}
		for _, r := range ranges {
			require.LessOrEqual(t, r.start, r.end)
		}
		if len(ranges) > 0 {
			require.NotEmpty(t, strings.Trim(spec, ", "))
			require.LessOrEqual(t, len(mergeRanges(ranges)), len(ranges))
		}
	})
}

func TestMergeRanges(t *testing.T) {
	require.Equal(t, []byteRange{{0, 9}, {20, 30}},
		mergeRanges([]byteRange{{20, 25}, {5, 9}, {0, 4}, {22, 30}, {1, 2}}))
}
