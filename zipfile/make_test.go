package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/stretchr/testify/require"
)

// bytesSource is an archive in memory.
type bytesSource []byte

func (s bytesSource) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return bytes.NewReader(s).ReadAt(p, off)
}

func (bytesSource) Expect(int64, int64) {}

// made is an entry of an archive that a test makes byte by byte. What is not set
// is as it should be.
type made struct {
	madeBy       uint16
	name         string
	flags        uint16
	method       uint16 // methodStored unless set
	data         string
	extra, local string // fields of the directory and of the local header
	date, clock  uint16

	packed                  []byte // in place of what data becomes
	crc                     *uint32
	size, packedLen, header *uint32
	localName               *string
	localMethod             *uint16
}

func pointer[T any](v T) *T { return &v }

// archive is the bytes of a zip, in parts.
type archive struct {
	data, directory []byte
	headers         []int
	records         int
}

func (a *archive) add(e made) {
	le := binary.LittleEndian
	packed := e.packed
	if packed == nil {
		packed = []byte(e.data)
		if e.method == methodDeflated {
			packed = deflated(e.data)
		}
	}
	crc, size, packedLen, header := crc32.ChecksumIEEE([]byte(e.data)), uint32(len(e.data)), uint32(len(packed)), uint32(len(a.data))
	for p, v := range map[*uint32]*uint32{&crc: e.crc, &size: e.size, &packedLen: e.packedLen, &header: e.header} {
		if v != nil {
			*p = *v
		}
	}
	localName, localMethod := e.name, e.method
	if e.localName != nil {
		localName = *e.localName
	}
	if e.localMethod != nil {
		localMethod = *e.localMethod
	}
	a.headers = append(a.headers, len(a.data))
	b := append(a.data, localSignature...)
	for _, v := range []uint16{20, e.flags, localMethod, e.clock, e.date} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{crc, packedLen, size} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(localName))), uint16(len(e.local)))
	a.data = append(append(append(b, localName...), e.local...), packed...)

	b = append(a.directory, recordSignature...)
	for _, v := range []uint16{e.madeBy<<8 | 20, 20, e.flags, e.method, e.clock, e.date} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{crc, packedLen, size} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint16{uint16(len(e.name)), uint16(len(e.extra)), 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, 0), header)
	a.directory = append(append(b, e.name...), e.extra...)
	a.records++
}

// bytes returns the zip.
func (a *archive) bytes() []byte {
	return endRecord(append(bytes.Clone(a.data), a.directory...), a.records, len(a.directory), len(a.data), "")
}

// endRecord appends an end record.
func endRecord(b []byte, records, length, offset int, comment string) []byte {
	le := binary.LittleEndian
	b = append(b, endSignature...)
	for _, v := range []uint16{0, 0, uint16(records), uint16(records)} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, uint32(length)), uint32(offset))
	return append(le.AppendUint16(b, uint16(len(comment))), comment...)
}

func makeZip(entries ...made) []byte {
	var a archive
	for _, e := range entries {
		a.add(e)
	}
	return a.bytes()
}

// field is an extra field.
func field(id uint16, content string) string {
	b := binary.LittleEndian.AppendUint16(nil, id)
	return string(binary.LittleEndian.AppendUint16(b, uint16(len(content)))) + content
}

func deflated(data string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	_, _ = w.Write([]byte(data))
	_ = w.Close()
	return b.Bytes()
}

// text returns n bytes that pack well.
func text(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, 0, n+30)
	for len(b) < n {
		b = append(strconv.AppendInt(append(b, "line "...), r.Int64N(100000), 10), " of the report\n"...)
	}
	return string(b[:n])
}

// noise returns n bytes that do not pack.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return string(b)
}

func readIndex(t *testing.T, b []byte) *Index {
	t.Helper()
	x, err := ReadIndex(t.Context(), bytesSource(b), int64(len(b)), time.UTC)
	require.NoError(t, err)
	return x
}

// paths returns the paths of all nodes, directories with a slash, in the order of
// their numbers; and checks that every way to a node leads to it.
func paths(t *testing.T, x *Index) []string {
	t.Helper()
	all := make([]string, x.Nodes())
	var walk func(dir Node, path string)
	walk = func(dir Node, path string) {
		last := Root
		for n, ok := x.First(dir); ok; n, ok = x.Next(n) {
			i := x.Info(n)
			// Not by require: there are archives of tens of thousands of entries.
			switch found, ok := x.Lookup(dir, i.Name); {
			case n <= last:
				t.Fatalf("%q: numbers do not grow within a directory", i.Name)
			case !ok || found != n:
				t.Fatalf("%q: found %v instead of %v", i.Name, found, n)
			case x.Parent(n) != dir:
				t.Fatalf("%q: in %v instead of %v", i.Name, x.Parent(n), dir)
			case all[n] != "":
				t.Fatalf("%q: in two directories", i.Name)
			}
			last = n
			all[n] = path + i.Name
			if i.Dir {
				all[n] += "/"
				walk(n, all[n])
			}
		}
	}
	walk(Root, "")
	return all[1:]
}
