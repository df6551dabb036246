package repository

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var testZips = zipFormat{ZipNewer, time.UTC, zip32Max}

func names(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.name)
	}
	return all
}

// A folder comes before its children and its files before its folders; names
// begin at each requested node; folders are walked to the bottom.
func TestZipOrder(t *testing.T) {
	s := newServer(t, Config{}, files{
		"f/z.txt": "z", "f/b/2.txt": "2", "f/b/a/1.txt": "1", "f/b/0/": "", "f/a.txt": "a", "other.txt": "o",
	})
	_, b := s.archive("other.txt", "f")
	require.Equal(t, []string{"other.txt", "f/", "f/a.txt", "f/z.txt", "f/b/", "f/b/2.txt", "f/b/0/", "f/b/a/", "f/b/a/1.txt"},
		names(unzip(t, b)))
}

// Two nodes of the same name give two entries of the same name.
func TestZipSameNames(t *testing.T) {
	s := newServer(t, Config{}, files{"x/doc.txt": "of x", "y/doc.txt": "of y"})
	_, b := s.archive("x/doc.txt", "y/doc.txt")
	require.Equal(t, []entry{{"doc.txt", "of x"}, {"doc.txt", "of y"}}, unzip(t, b))
}

// A file asked for directly and inside a folder is there twice and counts twice.
func TestZipFileTwice(t *testing.T) {
	s := newServer(t, Config{}, files{"f/doc.txt": "12345"})
	p, b := s.archive("f", "f/doc.txt")
	require.Equal(t, []entry{{"f/", ""}, {"f/doc.txt", "12345"}, {"doc.txt", "12345"}}, unzip(t, b))
	require.Equal(t, progressJSON{p.ID, statusDone, 10, 10, 2, 2}, p)
}

// What the user may not read inside a folder is left out without a word, and is
// not counted.
func TestZipLeavesOutTheUnreadable(t *testing.T) {
	s := newServer(t, Config{}, files{"User Homes/alice/a.txt": "aaa", "User Homes/bob/b.txt": "bb"})
	p, b := s.as("bob").archive("User Homes")
	require.Equal(t, []string{"User Homes/", "User Homes/bob/", "User Homes/bob/b.txt"}, names(unzip(t, b)))
	require.Equal(t, progressJSON{p.ID, statusDone, 2, 2, 1, 1}, p)
	p, _ = s.archive("User Homes")
	require.Equal(t, int64(2), p.TotalFiles, "the administrator reads everything")
}

// Content that is missing is counted but not added.
func TestZipMissingContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 100}, files{"f/1": strings.Repeat("x", 100), "f/2": "22", "f/3": "3"})
		p := s.create(nodeID("f"))
		synctest.Wait() // it is in the first file
		require.NoError(t, os.Rename(filepath.Join(s.dir, "f/2"), filepath.Join(s.dir, "elsewhere")))
		require.NoError(t, os.Symlink("../elsewhere", filepath.Join(s.dir, "f/2")))
		done := s.await(p.ID, statusDone)
		require.Equal(t, progressJSON{p.ID, statusDone, 101, 103, 2, 3}, done)
	})
}

// The entries of the zip as they are written: deflated, folders too, sizes in
// data descriptors, UTF-8 names with the Unicode extra field.
func TestZipEntries(t *testing.T) {
	s := newServer(t, Config{}, files{"Ordner ü/日本.txt": strings.Repeat("text ", 1000), "Ordner ü/empty": ""})
	at := time.Date(2026, 3, 1, 12, 30, 14, 0, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(s.dir, "Ordner ü/日本.txt"), at, at))
	_, b := s.archive("Ordner ü")
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.Len(t, z.File, 3)
	for i, f := range z.File {
		require.Equal(t, []string{"Ordner ü/", "Ordner ü/empty", "Ordner ü/日本.txt"}[i], f.Name)
		require.Equal(t, zip.Deflate, f.Method)
		require.Equal(t, uint16(1<<3|1<<11), f.Flags, "data descriptor, UTF-8")
		require.Equal(t, uint16(20), f.ReaderVersion)
		require.Equal(t, uint16(20), f.CreatorVersion, "MS-DOS: no Unix modes")
		require.Zero(t, f.ExternalAttrs)
		require.Equal(t, f.Name, unicodeName(t, f.Extra))

		off, err := f.DataOffset()
		require.NoError(t, err)
		descriptor := b[off+int64(f.CompressedSize64):]
		require.Equal(t, uint32(0x08074b50), binary.LittleEndian.Uint32(descriptor))
		require.Equal(t, f.CRC32, binary.LittleEndian.Uint32(descriptor[4:]))
		require.Equal(t, uint32(f.CompressedSize64), binary.LittleEndian.Uint32(descriptor[8:]))
		require.Equal(t, uint32(f.UncompressedSize64), binary.LittleEndian.Uint32(descriptor[12:]))
	}
	require.Equal(t, make([]byte, 12), b[14:26], "no CRC and no sizes in a local header")
	require.True(t, at.Equal(z.File[2].Modified), z.File[2].Modified)
	require.Less(t, z.File[2].CompressedSize64, uint64(200))
}

// unicodeName returns the name in extra field 0x7075.
func unicodeName(t *testing.T, extra []byte) string {
	t.Helper()
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), binary.LittleEndian.Uint16(extra[2:])
		field := extra[4 : 4+n]
		if id == extraUnicode {
			require.Equal(t, byte(1), field[0])
			require.Equal(t, crc32.ChecksumIEEE(field[5:]), binary.LittleEndian.Uint32(field[1:]))
			return string(field[5:])
		}
		extra = extra[4+n:]
	}
	t.Fatal("no Unicode path extra field")
	return ""
}

// More than 65,535 entries make it Zip64.
func TestZip64Entries(t *testing.T) {
	var b bytes.Buffer
	z := newZipStream(&b, testZips)
	for i := range 70_000 {
		require.NoError(t, z.create(fmt.Sprintf("%d", i), time.Unix(0, 0)))
		require.NoError(t, z.closeEntry())
	}
	require.NoError(t, z.Close())
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	require.Len(t, r.File, 70_000)
	require.Equal(t, uint16(zip32Entries), binary.LittleEndian.Uint16(b.Bytes()[b.Len()-12:]))
}

// shifted reads a zip whose first bytes, all zero, are not in memory.
type shifted struct {
	skip int64
	b    []byte
}

func (s shifted) ReadAt(p []byte, off int64) (int, error) {
	zeros := max(0, min(int64(len(p)), s.skip-off))
	clear(p[:zeros])
	if zeros == int64(len(p)) {
		return len(p), nil
	}
	n, err := bytes.NewReader(s.b).ReadAt(p[zeros:], off+zeros-s.skip)
	return int(zeros) + n, err
}

// So does an archive of more than 4 GiB.
func TestZip64Offsets(t *testing.T) {
	const skip = 5 << 30
	var b bytes.Buffer
	z := newZipStream(&b, testZips)
	z.written = skip
	require.NoError(t, z.create("far.txt", time.Unix(1e9, 0)))
	_, err := io.WriteString(z, "far away")
	require.NoError(t, err)
	require.NoError(t, z.closeEntry())
	require.NoError(t, z.Close())
	r, err := zip.NewReader(shifted{skip, b.Bytes()}, skip+int64(b.Len()))
	require.NoError(t, err)
	require.Equal(t, uint16(version45), r.File[0].ReaderVersion)
	f, err := r.File[0].Open()
	require.NoError(t, err)
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "far away", string(text))
}

// An entry of 4 GiB cannot be written: its local header has promised 32 bits.
func TestZipEntryTooLarge(t *testing.T) {
	z := newZipStream(io.Discard, testZips)
	require.NoError(t, z.create("big", time.Now()))
	z.size = zip32Max - 1
	require.NoError(t, z.closeEntry())
	require.NoError(t, z.create("bigger", time.Now()))
	z.size = zip32Max
	require.ErrorIs(t, z.closeEntry(), errZip64Required)
}
