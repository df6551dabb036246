package fs

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func snapshot(status download.Status, bytes, files int64) download.Snapshot {
	return download.Snapshot{Progress: download.Progress{Status: status, TotalBytes: bytes, TotalFiles: files}}
}

// The size that is shown is never smaller than a zip of so much content will be,
// whatever the content and the paths.
// Proves S-112.
func TestSizesBoundHolds(t *testing.T) {
	long := strings.Repeat("Überblick der Quartalszahlen/", 12) // 372 bytes
	for name, test := range map[string]struct {
		files, folders, size int
		path                 string
	}{
		"one empty file":             {1, 0, 0, "a.txt"},
		"one large one":              {1, 0, 8 << 20, "a.jpg"},
		"many small ones":            {5000, 100, 10, "Sites/press/documentLibrary/"},
		"long paths":                 {1000, 300, 100, long},
		"more folders than files":    {1, 1500, 10, "Sites/press/documentLibrary/"},
		"blocks that are just begun": {3, 0, 16<<10 + 1, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			noise := make([]byte, test.size)
			rand.New(rand.NewSource(1)).Read(noise)
			// As the server does: deflated in a stream, with the path a second time in
			// an extra field of each header.
			w := zip.NewWriter(&out)
			add := func(path string, content []byte) {
				extra := append([]byte{0x75, 0x70, byte(5 + len(path)), byte((5 + len(path)) >> 8), 1, 0, 0, 0, 0}, path...)
				f, err := w.CreateHeader(&zip.FileHeader{Name: path, Method: zip.Deflate, Extra: extra})
				require.NoError(t, err)
				_, err = f.Write(content)
				require.NoError(t, err)
			}
			for i := range test.folders {
				add(fmt.Sprintf("%s%d/", test.path, i), nil)
			}
			for i := range test.files {
				add(fmt.Sprintf("%s%d", test.path, i), noise)
			}
			require.NoError(t, w.Close())
			bound := new(sizes).bound(snapshot(download.StatusInProgress, int64(test.files*test.size), int64(test.files)))
			assert.GreaterOrEqual(t, bound, int64(out.Len()))
			assert.Less(t, bound, int64(2*test.files*test.size+test.files*entrySize+2*entriesMore), "and makes some sense")
		})
	}
}

// Proves S-112.
func TestSizes(t *testing.T) {
	const unknown = serverLimit + serverLimit/8
	z := new(sizes)
	assert.Equal(t, int64(unknown), z.bound(snapshot(download.StatusPending, 0, 0)))
	assert.Less(t, z.bound(snapshot(download.StatusInProgress, 0, 3)), int64(2<<20), "three empty files")
	z.learn(snapshot(download.StatusInProgress, 1000, 1))
	assert.Equal(t, int64(unknown), z.bound(snapshot(download.StatusPending, 0, 0)), "that says nothing of the limit")
	z.learn(snapshot(download.StatusTooLarge, 1<<40, 1))
	assert.Equal(t, int64(unknown), z.bound(snapshot(download.StatusPending, 0, 0)), "nor does what was asked for")

	z.learn(snapshot(download.StatusPending, 1<<40, 1))
	parts := snapshot(download.StatusInProgress, 1<<40, 1)
	parts.Parts.Total = 500
	z.learn(parts)
	assert.Equal(t, int64(unknown), z.bound(snapshot(download.StatusPending, 0, 0)), "nor does what it zips in parts")

	// A server that zips more than others do, or says that it would.
	z.learn(snapshot(download.StatusInProgress, 8e9, 1))
	assert.Equal(t, int64(9e9), z.bound(snapshot(download.StatusPending, 0, 0)))
	z.learn(download.Snapshot{Progress: download.Progress{Status: download.StatusTooLarge, BytesAdded: 16e9, TotalBytes: 1 << 50}})
	assert.Equal(t, int64(18e9), z.bound(snapshot(download.StatusPending, 0, 0)))

	done := snapshot(download.StatusDone, 1000, 1)
	done.Archive.Size = 700
	assert.Equal(t, int64(700), z.bound(done), "known, though it cannot be opened yet")

	// Counters that no server has.
	z.learn(snapshot(download.StatusInProgress, math.MaxInt64, math.MaxInt64))
	assert.Equal(t, int64(limitMost+limitMost/8), z.bound(snapshot(download.StatusPending, 0, 0)))
	assert.Greater(t, z.bound(snapshot(download.StatusInProgress, math.MaxInt64, math.MaxInt64)), int64(sizeMost))
}

// If a bound turns out too small, callers that were told it cannot open the archive
// until they look again. Programs that always read to the end can.
// Proves S-113.
func TestArchiveToldLess(t *testing.T) {
	const look = `
import os, sys
d, size = sys.argv[1], lambda: os.stat(sys.argv[1] + "/archive.zip").st_size
os.listdir(d)
told = size()
try:
    print("cut off:", len(open(d + "/archive.zip", "rb").read(told)) < 3_000_000)
except OSError as e:
    print("refused:", e.strerror)
print("looked again:", len(open(d + "/archive.zip", "rb").read(size())))
`
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.set(func(s *download.Snapshot) { s.TotalBytes, s.TotalFiles = 1000, 1 })
	file, data := m.archive(3_000_000)
	believer := m.background("exec python3 -c '" + look + "' $D/d1")
	copier := m.background("T=" + t.TempDir() + "/t; cp -r $D/d1 $T && sha256sum < $T/archive.zip")
	m.eventually(func() bool { return d.waiting() == 2 }, "both wait")
	d.finish(file, false)
	require.NoError(t, m.ended(believer, 10*time.Second), believer.out.String())
	assert.Equal(t, "refused: Value too large for defined data type\nlooked again: 3000000\n", believer.out.String())
	require.NoError(t, m.ended(copier, 10*time.Second), copier.out.String())
	assert.Contains(t, copier.out.String(), hash(data))
	assert.Contains(t, m.log.String(), "larger than a program was told")
}
