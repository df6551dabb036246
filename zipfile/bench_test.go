package zipfile

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkReadIndex reads the directory of an archive of 20,000 files, with the
// fields that servers write.
func BenchmarkReadIndex(b *testing.B) {
	const entries = 20_000
	var a archive
	for i := range entries {
		name := fmt.Sprintf("folder/%03d/a document with a name of some length %05d.bin", i/100, i)
		path := field(extraUnicodePath, "\x01\x00\x00\x00\x00"+name)
		ntfs := field(extraNTFS, string(appendUint16s(make([]byte, 4), 1, 24))+"\x00\x80\x3e\xd5\xde\xb1\x9d\x01"+string(make([]byte, 16)))
		a.add(made{name: name, flags: flagUTF8 | flagDescriptor, data: "x", extra: path + field(extraTimes, "\x05\x00\x00\x00\x60") + ntfs})
	}
	zip := a.bytes()
	b.SetBytes(int64(len(a.directory)))
	b.ReportAllocs()
	for b.Loop() {
		x, err := ReadIndex(b.Context(), bytesSource(zip), int64(len(zip)), time.UTC)
		require.NoError(b, err)
		require.Equal(b, entries, x.Entries())
	}
}
