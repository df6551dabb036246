package zipfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzArchive compares with archive/zip: what both read is the same, names are safe,
// and nothing that is read differs from the checksum.
// Proves S-137.
func FuzzArchive(f *testing.F) {
	files, err := filepath.Glob("../repository/testdata/zips/*.zip")
	require.NoError(f, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add(makeZip(made{name: "a", data: text(3000), method: methodDeflated}, made{name: "b/c", data: "x", extra: ntfs(time.Unix(1, 0))}))
	var a archive
	a.add(made{name: "a", data: "1"})
	f.Add(zip64(a, 10, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ReadIndex(t.Context(), bytesSource(b), int64(len(b)), time.UTC)
		if err != nil {
			require.True(t, errors.Is(err, ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
			return
		}
		for _, path := range paths(t, x) {
			require.True(t, utf8.ValidString(path), "%q", path)
			for part := range strings.SplitSeq(strings.TrimSuffix(path, "/"), "/") {
				require.NotContains(t, []string{"", ".", ".."}, part)
				require.LessOrEqual(t, len(part), maxName)
				require.NotContains(t, part, "\x00")
			}
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
			z = &zip.Reader{}
		}
		theirs := make(map[string]*zip.File)
		for _, file := range z.File {
			theirs[file.Name] = file
		}
		m := NewMemory()
		for n := Node(1); int(n) < x.Nodes(); n++ {
			i := x.Info(n)
			if i.Dir || i.Size > 1<<20 {
				continue
			}
			r, err := NewReader(x, n, m)
			if err != nil {
				continue
			}
			got := make([]byte, i.Size)
			_, err = r.ReadAt(t.Context(), bytesSource(b), got, 0)
			if err != nil || i.Size == 0 {
				continue
			}
			file := theirs[i.Name]
			if file == nil || int64(file.UncompressedSize64) != i.Size || file.CRC32 != r.crc || x.Parent(n) != Root {
				continue
			}
			if in, err := file.Open(); err == nil {
				want, err := io.ReadAll(in)
				if err == nil {
					require.Equal(t, want, got)
				}
			}
		}
	})
}
