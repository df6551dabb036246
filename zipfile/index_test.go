package zipfile

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the library that real servers use has written.
// Proves S-137.
func TestServersZips(t *testing.T) {
	tests := map[string][]string{
		"empty.zip": {},
		"plain.zip": {"Photos/", "Photos/one.txt", "Photos/two.bin", "Photos/sub/", "Photos/sub/three.txt", "Photos/empty.txt", "Photos/nothing/", "Budget 2026.csv"},
		"twins.zip": {"report.txt", "report (1).txt", "report (2).txt", "folder/", "folder/x.txt", "folder/x (1).txt", "folder/y.txt", "both (1)", "both/", "both/inside.txt"},
		"hostile-paths.zip": {"up.txt", "a/", "a/?/", "a/?/?/", "a/?/?/up2.txt", "abs.txt", "net/", "net/share.txt", "dot.txt", "a/b.txt", "?", "? (1)", "C:/", "C:/win.txt",
			"a/c.txt", "nul␀byte.txt"},
	}
	files, err := filepath.Glob("../repository/testdata/zips/*.zip")
	require.NoError(t, err)
	require.Len(t, files, 6)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			x := readIndex(t, b)
			if want, ok := tests[filepath.Base(file)]; ok {
				assert.Equal(t, want, paths(t, x))
			}
			compare(t, b)
			for n := range x.Nodes() {
				if i := x.Info(Node(n)); filepath.Base(file) == "plain.zip" && n > 0 {
					assert.True(t, time.Date(2026, 7, 1, 12, 34, 56, 0, time.UTC).Equal(i.Modified), "%v", i.Modified)
				}
			}
		})
	}
}

// compare compares an archive with what archive/zip says of it, entry by entry.
func compare(t *testing.T, b []byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		require.ErrorIs(t, err, zip.ErrInsecurePath)
	}
	x := readIndex(t, b)
	assert.Equal(t, len(z.File), x.Entries())
	m := NewMemory()
	var files []Node // in the order of the directory, as z.File is
	for n := 1; n < x.Nodes(); n++ {
		if !x.IsDir(Node(n)) {
			files = append(files, Node(n))
		}
	}
	i := 0
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		require.Less(t, i, len(files))
		n := files[i]
		i++
		assert.Equal(t, int64(f.UncompressedSize64), x.Info(n).Size, f.Name)
		want := contentOf(t, f)
		r, err := NewReader(x, n, m)
		require.NoError(t, err, f.Name)
		got := make([]byte, len(want))
		_, err = r.ReadAt(t.Context(), bytesSource(b), got, 0)
		if len(want) > 0 {
			require.NoError(t, err, f.Name)
		}
		assert.Equal(t, want, got, f.Name)
	}
	assert.Equal(t, len(files), i)
}

func contentOf(t *testing.T, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

// What is put around a zip does not matter.
func TestWhereTheDirectoryIs(t *testing.T) {
	plain := makeZip(made{name: "a", data: "first"}, made{name: "b", data: text(3000), method: methodDeflated})
	var a archive
	a.add(made{name: "a", data: "first"})
	within := endRecord(append(bytes.Clone(a.data), a.directory...), 1, len(a.directory), len(a.data), string(plain[len(plain)-endLen:])+"and more")
	signed := endRecord(append(append(bytes.Clone(a.data), a.directory...), "PK\x05\x05\x02\x00ab"...), 1, len(a.directory)+8, len(a.data), "")
	tests := map[string][]byte{
		"plain":                       plain,
		"prefix":                      append([]byte(strings.Repeat("#!/bin/sh\n", 1000)), plain...),
		"comment":                     append(plain[:len(plain)-2:len(plain)-2], "\x05\x00hello"...),
		"longest comment":             append(plain[:len(plain)-2:len(plain)-2], "\xff\xff"+strings.Repeat("c", 65535)...),
		"bytes behind":                append(bytes.Clone(plain), "some more"...),
		"end record in the comment":   within,
		"signature of the directory":  signed,
		"something before the record": gap(a),
		"Zip64":                       zip64(a, 0, ""),
		"Zip64 with a prefix":         zip64(a, 0, "prefix"),
		"Zip64 with more in it":       zip64(a, 100, ""),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			x := readIndex(t, b)
			assert.Equal(t, "a", paths(t, x)[0])
			r, err := NewReader(x, 1, NewMemory())
			require.NoError(t, err)
			got := make([]byte, 5)
			_, err = r.ReadAt(t.Context(), bytesSource(b), got, 0)
			require.NoError(t, err)
			assert.Equal(t, "first", string(got))
		})
	}
}

// gap is an archive with something between its directory and its end record.
func gap(a archive) []byte {
	b := append(append(bytes.Clone(a.data), a.directory...), "0123456789"...)
	return endRecord(b, 1, len(a.directory), len(a.data), "")
}

// zip64 is an archive whose directory only a Zip64 record tells of, which is longer
// than needed by more.
func zip64(a archive, more int, prefix string) []byte {
	le := binary.LittleEndian
	b := append(append([]byte(prefix), a.data...), a.directory...)
	record := len(b)
	b = append(b, end64Signature...)
	b = le.AppendUint64(b, uint64(end64Len-12+more))
	b = append(b, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range []int{a.records, a.records, len(a.directory), len(a.data)} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = append(b, make([]byte, more)...)
	b = append(append(b, locatorSignature...), 0, 0, 0, 0)
	b = le.AppendUint64(b, uint64(record))
	b = append(b, 1, 0, 0, 0)
	end := endRecord(nil, 0xffff, 0xffffffff, 0xffffffff, "")
	return append(b, end...)
}

// A directory that contradicts itself is refused with a sentence.
// Proves S-142.
func TestDirectoryThatLies(t *testing.T) {
	good := func(entries ...made) *archive {
		a := new(archive)
		for _, e := range append(entries, made{name: "a", data: "x"}) {
			a.add(e)
		}
		return a
	}
	with := func(a *archive, records, length, offset int) []byte {
		return endRecord(append(bytes.Clone(a.data), a.directory...), records, length, offset, "")
	}
	a := good()
	n, o := len(a.directory), len(a.data)
	many := endRecord(append(bytes.Clone(a.data), bytes.Repeat(a.directory, 3)...), 2, 3*n, o, "")
	tests := map[string]struct {
		b    []byte
		says string
	}{
		"nothing":               {nil, "0 bytes are not a zip"},
		"something else":        {[]byte(strings.Repeat("<html>", 100)), "no end record"},
		"cut off":               {a.bytes()[:o+10], "no end record"},
		"too many told":         {with(a, 2, n, o), "2 entries in"},
		"too few told":          {many, "2 entries and has 3"},
		"none told":             {with(a, 0, n, o), "0 entries and has 1"},
		"directory too short":   {with(a, 1, 46, o), "beyond the end"},
		"directory outside":     {with(a, 1, 1<<30, o), "outside"},
		"offset outside":        {with(a, 1, n, o+500), "outside"},
		"directory too long":    {with(a, 1, n+o, 0), "something else"},
		"split":                 {append(with(a, 1, n, o)[:n+o+4], append([]byte{1, 0}, with(a, 1, n, o)[n+o+6:]...)...), "one part of several"},
		"header outside":        {good(made{name: "b", header: pointer[uint32](1 << 20)}).bytes(), "outside the archive"},
		"data outside":          {good(made{name: "b", packedLen: pointer[uint32](1 << 20)}).bytes(), "outside the archive"},
		"Zip64 field missing":   {good(made{name: "b", packedLen: pointer[uint32](1<<32 - 1)}).bytes(), "lacks its Zip64 field"},
		"Zip64 size impossible": {good(made{name: "b", size: pointer[uint32](1<<32 - 1), extra: field(extraZip64, strings.Repeat("\xff", 8))}).bytes(), "is said to have"},
		"too deep":              {good(made{name: strings.Repeat("d/", 256) + "x"}).bytes(), "more than 255 deep"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ReadIndex(t.Context(), bytesSource(test.b), int64(len(test.b)), time.UTC)
			require.ErrorIs(t, err, ErrFormat)
			assert.Contains(t, err.Error(), test.says)
		})
	}
	deep := strings.Repeat("d/", 255) + "x"
	assert.Len(t, paths(t, readIndex(t, makeZip(made{name: deep}))), 256)
}

// An error of the source is the source's, and not the archive's.
func TestSourceFails(t *testing.T) {
	b := makeZip(made{name: "a", data: "x"})
	lost := errors.New("connection lost")
	for fail := range 2 {
		_, err := ReadIndex(t.Context(), &failing{bytesSource(b), fail, lost}, int64(len(b)), time.UTC)
		require.ErrorIs(t, err, lost)
		require.NotErrorIs(t, err, ErrFormat)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ReadIndex(ctx, bytesSource(b), int64(len(b)), time.UTC)
	require.ErrorIs(t, err, context.Canceled)
	_, err = ReadIndex(t.Context(), bytesSource(b[:10]), int64(len(b)), time.UTC)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// failing is a source whose nth read fails.
type failing struct {
	bytesSource
	n   int
	err error
}

func (f *failing) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if f.n--; f.n == -1 {
		return 0, f.err
	}
	return f.bytesSource.ReadAt(ctx, p, off)
}

// Entries that share bytes are listed and cannot be read; others can.
// Proves S-140.
func TestOverlaps(t *testing.T) {
	var a archive
	a.add(made{name: "before", data: "one"})
	a.add(made{name: "first", data: text(500)})
	a.add(made{name: "inside", data: text(500), header: pointer(uint32(a.headers[1] + 100))})
	a.add(made{name: "same", data: text(500), header: pointer(uint32(a.headers[1]))})
	a.add(made{name: "after", data: "two"})
	x := readIndex(t, a.bytes())
	require.Equal(t, []string{"before", "first", "inside", "same", "after"}, paths(t, x))
	for n, bad := range []bool{1: false, 2: true, 3: true, 4: true, 5: false} {
		if n == 0 {
			continue
		}
		_, err := NewReader(x, Node(n), NewMemory())
		assert.Equal(t, bad, errors.Is(err, ErrDamaged), "%s: %v", x.Info(Node(n)).Name, err)
	}
}

// An order that is not that of the bytes is none of our business.
func TestAnyOrder(t *testing.T) {
	var a archive
	a.add(made{name: "one", data: "1"})
	first := a.directory
	a.directory = nil
	a.add(made{name: "two", data: "2"})
	a.directory = append(a.directory, first...)
	b := a.bytes()
	x := readIndex(t, b)
	assert.Equal(t, []string{"two", "one"}, paths(t, x))
	compare(t, b)
}

// Many entries: what the index takes, and that more than 65,535 are read, with and
// without Zip64.
// Proves S-148.
func TestManyEntries(t *testing.T) {
	const entries = 70_000
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range entries {
		name := fmt.Sprintf("d%05d/a file of the usual length %07d.txt", i/500, i)
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(t, err)
		_, _ = f.Write([]byte{byte(i)})
	}
	require.NoError(t, w.Close())
	x := readIndex(t, b.Bytes())
	assert.Equal(t, entries, x.Entries())
	assert.Equal(t, entries+entries/500, len(paths(t, x)))
	assert.LessOrEqual(t, x.Memory(), int64(40*entries))

	// As some programs write it: the number modulo 65536, and nothing else.
	e, err := findEnd(t.Context(), bytesSource(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	require.True(t, e.zip64)
	old := endRecord(bytes.Clone(b.Bytes()[:e.offset+e.size]), entries-1<<16, int(e.size), int(e.offset), "")
	assert.Equal(t, entries, readIndex(t, old).Entries())
}

// Proves S-142.
func TestNoEntriesAboveTheLimit(t *testing.T) {
	var a archive
	a.records = maxEntries + 1
	a.directory = make([]byte, 0)
	b := zip64(a, 0, "")
	_, err := ReadIndex(t.Context(), bytesSource(b), int64(len(b)), time.UTC)
	require.ErrorIs(t, err, ErrFormat)
	assert.Contains(t, err.Error(), "4194305 entries")
}
