package zipfile

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inMemory is an archive in memory.
type inMemory []byte

func (b inMemory) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(b).ReadAt(p, off)
}
func (b inMemory) Expect(int64, int64) {}

// zeros are as many as one likes.
type zeros struct{}

func (zeros) ReadAt(_ context.Context, p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}
func (zeros) Expect(int64, int64) {}

// plainReader is an archive as io.ReaderAt.
type plainReader struct{ s *Stitched }

func (r plainReader) ReadAt(p []byte, off int64) (int, error) {
	return r.s.ReadAt(context.Background(), p, off)
}

// realZips are zips that a server's library wrote, by name.
func realZips(t *testing.T) map[string]inMemory {
	t.Helper()
	paths, err := filepath.Glob("../repository/testdata/zips/*.zip")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	all := make(map[string]inMemory)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		all[strings.TrimSuffix(filepath.Base(p), ".zip")] = b
	}
	return all
}

type unzipped struct {
	name, content string
	modified      time.Time
}

func unzipAll(t *testing.T, r io.ReaderAt, size int64, prefix string) (all []unzipped) {
	t.Helper()
	z, err := zip.NewReader(r, size)
	require.NoError(t, err)
	for _, f := range z.File {
		c, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(c)
		require.NoError(t, err, f.Name)
		all = append(all, unzipped{prefix + f.Name, string(b), f.Modified.UTC().Truncate(time.Second)})
	}
	return all
}

func stitch(t *testing.T, pieces ...Piece) *Stitched {
	t.Helper()
	s, err := Stitch(t.Context(), pieces)
	require.NoError(t, err)
	return s
}

var mid2026 = time.Date(2026, 7, 1, 12, 34, 56, 123_000_000, time.UTC)

// A stitched zip has the entries of the zips under their paths, with files and folders
// in between, whether it is read from its directory or from a pipe.
// Proves S-163.
func TestStitch(t *testing.T) {
	real := realZips(t)
	film := inMemory(strings.Repeat("film ", 1000))
	pieces := []Piece{
		{Path: "Site", Modified: mid2026},
		{Path: "Site/", Zip: real["plain"], Size: int64(len(real["plain"]))},
		{Path: "Site/Ü film.mkv", File: film, Size: int64(len(film)), CRC: crc32.ChecksumIEEE(film), Modified: mid2026},
		{Path: "Site/empty", File: inMemory(nil), Modified: mid2026},
		{Zip: real["empty"], Size: int64(len(real["empty"]))},
		{Path: "Site/日本/", Zip: real["names"], Size: int64(len(real["names"]))},
		{Zip: real["twins"], Size: int64(len(real["twins"]))},
		{Path: "old/", Zip: real["old-times"], Size: int64(len(real["old-times"]))},
	}
	var want []unzipped
	for _, p := range pieces {
		switch {
		case p.Zip != nil:
			want = append(want, unzipAll(t, bytes.NewReader(p.Zip.(inMemory)), p.Size, p.Path)...)
		case p.File != nil:
			want = append(want, unzipped{p.Path, string(p.File.(inMemory)), mid2026.Truncate(time.Second)})
		default:
			want = append(want, unzipped{p.Path + "/", "", mid2026.Truncate(time.Second)})
		}
	}
	s := stitch(t, pieces...)
	require.Equal(t, want, unzipAll(t, plainReader{s}, s.Size(), ""))
	require.Equal(t, len(want), s.Entries())

	whole := make([]byte, s.Size())
	n, err := s.ReadAt(t.Context(), whole, 0)
	require.NoError(t, err)
	require.Equal(t, len(whole), n)
	var piped []unzipped
	sum := int64(0)
	for b := whole; bytes.HasPrefix(b, localSignature); {
		var e unzipped
		e, b = unpipe(t, b)
		piped = append(piped, e)
		sum += int64(len(e.content))
	}
	require.Equal(t, len(want), len(piped))
	for i := range want {
		require.Equal(t, want[i].name, piped[i].name)
		require.Equal(t, want[i].content, piped[i].content)
	}
	require.Equal(t, sum, s.Bytes())

	files, unpacked, err := Check(t.Context(), inMemory(whole), s.Size(), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{int64(s.Files()), s.Bytes()}, []int64{files, unpacked})

	// From any offset, the same bytes; past the end, none.
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		off := rng.Int64N(s.Size())
		p := make([]byte, 1+rng.IntN(3000))
		n, err := s.ReadAt(t.Context(), p, off)
		if off+int64(len(p)) > s.Size() {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, whole[off:off+int64(n)], p[:n])
		require.Equal(t, min(int64(len(p)), s.Size()-off), int64(n))
	}
	_, err = s.ReadAt(t.Context(), make([]byte, 1), s.Size())
	require.ErrorIs(t, err, io.EOF)
}

// unpipe reads the first entry as one who cannot seek does: from its local header.
func unpipe(t *testing.T, b []byte) (unzipped, []byte) {
	t.Helper()
	le := binary.LittleEndian
	require.Zero(t, le.Uint16(b[6:])&flagDescriptor)
	packed, size := le.Uint32(b[18:]), le.Uint32(b[22:])
	nameLen, extraLen := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	e := unzipped{name: string(b[30 : 30+nameLen])}
	data := b[30+nameLen+extraLen:][:packed]
	if le.Uint16(b[8:]) == methodDeflated {
		content, err := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
		require.NoError(t, err)
		e.content = string(content)
	} else {
		e.content = string(data)
	}
	require.Equal(t, int(size), len(e.content))
	require.Equal(t, le.Uint32(b[14:]), crc32.ChecksumIEEE([]byte(e.content)))
	return e, b[30+nameLen+extraLen+int(packed):]
}

// Nothing at all is a zip too.
func TestStitchNothing(t *testing.T) {
	s := stitch(t)
	require.Empty(t, unzipAll(t, plainReader{s}, s.Size(), ""))
	require.Equal(t, int64(endLen), s.Size())
}

// A file of more than 4 GiB, and what comes behind it, need Zip64.
// Proves S-165.
func TestStitchLarge(t *testing.T) {
	real := realZips(t)["plain"]
	const size = 5 << 30
	s := stitch(t, Piece{Path: "disk.img", File: zeros{}, Size: size, CRC: 123, Modified: mid2026},
		Piece{Path: "far/", Zip: real, Size: int64(len(real))}, Piece{Path: "last", Modified: mid2026})
	z, err := zip.NewReader(plainReader{s}, s.Size())
	require.NoError(t, err)
	require.Equal(t, uint64(size), z.File[0].UncompressedSize64)
	require.Equal(t, uint64(size), z.File[0].CompressedSize64)
	off, err := z.File[0].DataOffset()
	require.NoError(t, err)
	require.Equal(t, s.Size()-off-size, s.Size()-size-off)
	want := unzipAll(t, bytes.NewReader(real), int64(len(real)), "far/")
	for i, w := range want {
		c, err := z.File[1+i].Open()
		require.NoError(t, err)
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, w.content, string(b))
		require.Equal(t, w.name, z.File[1+i].Name)
	}
	require.Equal(t, "last/", z.File[len(z.File)-1].Name)
}

// streamed is a zip of small files as a server writes it.
func streamed(t testing.TB, n int, name string) inMemory {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n {
		w, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf(name, i), Modified: mid2026})
		require.NoError(t, err)
		fmt.Fprint(w, i)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// More than 65,535 entries need Zip64 too, wherever they come from.
// Proves S-165.
func TestStitchMany(t *testing.T) {
	one := streamed(t, 35_000, "a/%d")
	s := stitch(t, Piece{Path: "x/", Zip: one, Size: int64(len(one))}, Piece{Path: "y/", Zip: one, Size: int64(len(one))})
	z, err := zip.NewReader(plainReader{s}, s.Size())
	require.NoError(t, err)
	require.Len(t, z.File, 70_000)
	for i, name := range map[int]string{0: "x/a/0", 34_999: "x/a/34999", 35_000: "y/a/0", 69_999: "y/a/34999"} {
		require.Equal(t, name, z.File[i].Name)
		c, err := z.File[i].Open()
		require.NoError(t, err)
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i%35_000), string(b))
	}
}

// Zips that are not what they say are found out.
// Proves S-168.
func TestCheckFindsDamage(t *testing.T) {
	check := func(b []byte) error {
		_, _, err := Check(t.Context(), inMemory(b), int64(len(b)), nil)
		return err
	}
	for name, real := range realZips(t) {
		require.NoError(t, check(real), name)
	}
	whole := realZips(t)["plain"]
	files, unpacked, err := Check(t.Context(), whole, int64(len(whole)), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{5, 26300}, []int64{files, unpacked})
	second := bytes.Index(whole[4:], localSignature) + 4
	record := bytes.Index(whole, recordSignature)
	file := record + bytes.Index(whole[record+1:], recordSignature) + 1 // the first is a folder
	for name, at := range map[string]int{"signature": second, "method": second + 8, "length of the name": second + 26, "name": second + 30,
		"directory": record, "checksum": file + 16, "size": file + 24, "end": len(whole) - 22} {
		b := bytes.Clone(whole)
		b[at]++
		require.Error(t, check(b), name)
	}
	beyond := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(beyond[file+42:], 1<<30) // the offset of its header
	require.ErrorIs(t, check(beyond), ErrDamaged)
	_, _, err = Check(t.Context(), whole[:len(whole)-1], int64(len(whole)-1), nil)
	require.ErrorIs(t, err, ErrFormat)
	_, err = Stitch(t.Context(), []Piece{{Zip: whole[:100], Size: 100}})
	require.ErrorIs(t, err, ErrFormat)

	// Any bit of the entries' bytes matters, packed or not.
	for _, method := range []uint16{methodStored, methodDeflated} {
		var a archive
		a.add(made{name: "a", data: text(30_000), method: method})
		a.add(made{name: "b", data: text(40_000), method: method})
		good := a.bytes()
		require.NoError(t, check(good))
		rng := rand.New(rand.NewPCG(3, 4))
		for range 200 {
			b := bytes.Clone(good)
			at := localLen + 1 + rng.IntN(len(a.data)-localLen-1)
			if second := a.headers[1]; at >= second && at < second+localLen+1 {
				continue // flags and versions, which nobody reads
			}
			b[at] ^= 1 << rng.IntN(8)
			require.ErrorIs(t, check(b), ErrDamaged, "at %d", at)
		}
	}
}

// Checking rests between its megabytes, and ends when it is told to.
func TestCheckRests(t *testing.T) {
	b := makeZip(made{name: "a", data: text(3_000_000), method: methodDeflated}, made{name: "b", data: text(3_000_000)})
	rests, enough := 0, errors.New("enough")
	rest := func(context.Context) error {
		if rests++; rests == 4 {
			return enough
		}
		return nil
	}
	_, _, err := Check(t.Context(), inMemory(b), int64(len(b)), rest)
	require.ErrorIs(t, err, enough)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Check(ctx, inMemory(b), int64(len(b)), nil)
	require.ErrorIs(t, err, context.Canceled)
}

// TestStitchMemory measures what a million entries take.
func TestStitchMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const each, times = 100_000, 10
	one := streamed(t, fewer(each), "documents of the department/of the year 2026/paper number %06d.txt")
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var pieces []Piece
	for i := range times {
		pieces = append(pieces, Piece{Path: fmt.Sprintf("%d/", i), Zip: one, Size: int64(len(one))})
	}
	began := time.Now()
	s := stitch(t, pieces...)
	took := time.Since(began)
	used := heap() - before
	t.Logf("%d entries: %d bytes each, %v", s.Entries(), used/int64(s.Entries()), took)
	require.Less(t, used, int64(4<<20))
	whole := make([]byte, 1<<20)
	for off := int64(0); off < s.Size(); off += int64(len(whole)) {
		_, err := s.ReadAt(t.Context(), whole, off)
		if err != io.EOF {
			require.NoError(t, err)
		}
	}
	t.Logf("read in %v", time.Since(began))
}
