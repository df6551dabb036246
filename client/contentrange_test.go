package client

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestParseContentRange(t *testing.T) {
	for value, want := range map[string]contentRange{
		"bytes 0-0/1":      {0, 0, 1},
		"bytes 0-499/1234": {0, 499, 1234},
		"bytes 500-1233/*": {500, 1233, -1},
		" Bytes  5-6/7 ":   {5, 6, 7},
		"bytes 0-9223372036854775806/9223372036854775807": {0, 1<<63 - 2, 1<<63 - 1},
	} {
		r, err := parseContentRange(value)
		require.NoError(t, err, value)
		require.Equal(t, want, r, value)
		require.Equal(t, want.last-want.first+1, r.len())
	}
	for _, value := range []string{
		"", "*", "bytes", "bytes ", "bytes *", "bytes */1234", "bytes 0-1", "bytes 0/1", "bytes -1/2", "bytes 0-/2",
		"bytes 0--1/0", // Alfresco, of an empty file
		"bytes 5-4/9", "bytes 0-9/9", "bytes 0-9/5", "bytes 0-1/-2", "bytes +0-1/2", "bytes 0-+1/2", "bytes 0-1/+2",
		"bytes 0-1/", "bytes 0-1/x", "bytes 0x0-1/2", "bytes 0 -1/2", "bytes 0-1 /2", "items 0-1/2", "bytes=0-1/2",
		"bytes 0-9223372036854775808/9223372036854775809", "bytes 0-1/2, bytes 3-4/5",
	} {
		_, err := parseContentRange(value)
		require.ErrorIs(t, err, download.ErrProtocol, value)
	}
}

func TestRangeHeader(t *testing.T) {
	require.Equal(t, "bytes=0-0", rangeHeader(0, 1))
	require.Equal(t, "bytes=100-199", rangeHeader(100, 200))
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-499/1234", "bytes 0--1/0", "bytes */5", "*", "bytes 1-2/*", "bytes 18446744073709551615-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, err := parseContentRange(value)
		if err != nil {
			require.ErrorIs(t, err, download.ErrProtocol)
			return
		}
		require.True(t, 0 <= r.first && r.first <= r.last && r.len() > 0 && (r.total == -1 || r.last < r.total), "%+v", r)
		total := "*"
		if r.total >= 0 {
			total = fmt.Sprint(r.total)
		}
		again, err := parseContentRange(fmt.Sprintf("bytes %d-%d/%s", r.first, r.last, total))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
