package zipfile

import (
	"context"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"
)

// Piece is a run of entries of a [Stitched]. If Zip is set, it is the zip's entries
// with Path in front of their names. Otherwise, if File is set, it is one stored
// file. Otherwise it is one folder.
type Piece struct {
	Path     string // for a zip: empty, or ends in a slash; for a folder: does not
	Zip      Source
	File     Source
	Size     int64     // of Zip or File
	CRC      uint32    // of File
	Modified time.Time // of a file or folder
}

// Stitched is one zip made of others. It is a view that keeps some 64 bytes an entry
// besides its name, and copies nothing. The packed bytes come from the zips. The
// headers around them are made when they are read. They depend on the pieces alone,
// so the result is always the same.
//
// Each local header has sizes and checksum, so a program that unpacks from a pipe
// need not trust a data descriptor. Folders have no bytes, although they had two in a
// streamed zip.
//
// Its methods are safe for concurrent use.
type Stitched struct {
	pieces  []Piece
	first   []int // number of each piece's first entry
	entries []stitched
	names   [][]byte // slabs: see addName
	marks   []mark64 // one for every entry whose number is a multiple of markEvery
	dataEnd int64    // where the directory begins
	dirEnd  int64
	tail    []byte // the end records
	files   int
	bytes   int64

	mu   sync.Mutex
	last located
}

// stitched is an entry, without what its piece says.
type stitched struct {
	packed, size int64
	header       int64 // of the local header in the piece's zip
	ticks        int64 // when it was modified, in NTFS units; 0 if only the DOS time is known
	name         uint32
	crc          uint32
	dosTime      uint16
	dosDate      uint16
	nameLen      uint16
	method       uint16
	flags        uint16
}

// mark64 holds the places of an entry's header and directory record in the view.
type mark64 struct{ at, record int64 }

const markEvery = 64

// located holds where in its zip the data of the entry read last begins.
type located struct {
	entry int
	data  int64
}

// Stitch reads the directories of the pieces' zips.
func Stitch(ctx context.Context, pieces []Piece) (*Stitched, error) {
	s := &Stitched{pieces: pieces, last: located{entry: -1}}
	if err := s.makeRoom(ctx); err != nil {
		return nil, err
	}
	for i := range pieces {
		p := &pieces[i]
		s.first = append(s.first, len(s.entries))
		var err error
		switch {
		case p.Zip != nil:
			err = s.addZip(ctx, p)
		case p.File != nil:
			err = s.add(p, stitched{packed: p.Size, size: p.Size, crc: p.CRC}.at(p.Modified), nil)
		default:
			err = s.add(p, stitched{}.at(p.Modified), []byte("/"))
		}
		if err != nil {
			return nil, fmt.Errorf("piece %d of %d: %w", i+1, len(pieces), err)
		}
	}
	s.layOut()
	return s, nil
}

// makeRoom makes room for all entries, because moving so many again and again is
// slow.
func (s *Stitched) makeRoom(ctx context.Context) error {
	n := uint64(len(s.pieces))
	for i := range s.pieces {
		if p := &s.pieces[i]; p.Zip != nil {
			e, err := findEnd(ctx, p.Zip, p.Size)
			if err != nil {
				return fmt.Errorf("piece %d of %d: %w", i+1, len(s.pieces), err)
			}
			n += e.records
		}
	}
	s.entries = make([]stitched, 0, n)
	return nil
}

// nameSlab is how long the slabs of names are. No name is longer.
const (
	nameSlabBits = 20
	nameSlab     = 1 << nameSlabBits
)

// addName stores a name and returns its place.
func (s *Stitched) addName(name []byte) (uint32, error) {
	last := len(s.names) - 1
	if last < 0 || len(s.names[last])+len(name) > nameSlab {
		if last+1 == 1<<(32-nameSlabBits) {
			return 0, formatf("it has names of more than 4 GiB")
		}
		s.names = append(s.names, make([]byte, 0, nameSlab))
		last++
	}
	at := len(s.names[last])
	s.names[last] = append(s.names[last], name...)
	return uint32(last)<<nameSlabBits | uint32(at), nil
}

func (s *Stitched) addZip(ctx context.Context, p *Piece) error {
	return eachRecord(ctx, p.Zip, p.Size, func(rec *record, base int64) error {
		e := stitched{
			packed: rec.packed, size: rec.size, header: rec.header + base, crc: rec.crc,
			dosTime: rec.dosTime, dosDate: rec.dosDate, method: rec.method, flags: rec.flags,
		}
		e.ticks = rec.ticks()
		if isFolder(rec.name) && e.size == 0 {
			e.packed, e.crc, e.method = 0, 0, methodStored
		}
		return s.add(p, e, rec.name)
	})
}

func isFolder(name []byte) bool { return len(name) > 0 && name[len(name)-1] == '/' }

// eachRecord calls f with the records of a zip's directory, in order.
func eachRecord(ctx context.Context, src Source, size int64, f func(rec *record, base int64) error) error {
	e, err := findEnd(ctx, src, size)
	if err != nil {
		return err
	}
	var rec record
	n := uint64(0)
	for records := newRecords(ctx, src, e); ; n++ {
		more, err := records.next(&rec)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := f(&rec, e.base); err != nil {
			return err
		}
	}
	if n != e.records {
		return formatf("its directory is said to have %d entries and has %d", e.records, n)
	}
	return nil
}

// add adds an entry. Its name is the piece's path followed by name.
func (s *Stitched) add(p *Piece, e stitched, name []byte) error {
	if len(p.Path)+len(name) > saturated16 {
		return formatf("a path of %d bytes is too long", len(p.Path)+len(name))
	}
	at, err := s.addName(name)
	if err != nil {
		return err
	}
	e.name, e.nameLen = at, uint16(len(name))
	s.entries = append(s.entries, e)
	s.bytes += e.size
	if full := s.fullName(nil, p, &e); !isFolder(full) {
		s.files++
	}
	return nil
}

// layOut computes where everything is.
func (s *Stitched) layOut() {
	var at, records int64
	var m mark64
	for i, p := 0, 0; i < len(s.entries); i++ {
		for p+1 < len(s.first) && i >= s.first[p+1] {
			p++
		}
		if i%markEvery == 0 {
			s.marks = append(s.marks, m)
		}
		e := &s.entries[i]
		m.record += s.recordLen(p, e, at)
		at += s.headerLen(p, e) + e.packed
		m.at = at
	}
	s.dataEnd, records = at, m.record
	for i := range s.marks {
		s.marks[i].record += s.dataEnd
	}
	s.dirEnd = s.dataEnd + records
	s.tail = appendEnd(nil, int64(len(s.entries)), records, s.dataEnd)
}

// Size returns how long the zip is.
func (s *Stitched) Size() int64 { return s.dirEnd + int64(len(s.tail)) }

// Entries returns how many entries the zip has.
func (s *Stitched) Entries() int { return len(s.entries) }

// Files returns how many of the entries are not folders.
func (s *Stitched) Files() int { return s.files }

// Bytes returns the total size of the files, unpacked.
func (s *Stitched) Bytes() int64 { return s.bytes }

// pieceOf returns the number of the piece that an entry belongs to.
func (s *Stitched) pieceOf(entry int) int {
	return sort.Search(len(s.first), func(i int) bool { return s.first[i] > entry }) - 1
}

// ReadAt fills p from off, as io.ReaderAt does. Errors are ctx's, those of the
// pieces' sources, or ErrDamaged if a zip is not what its directory says.
func (s *Stitched) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		var k int
		var err error
		switch {
		case at >= s.Size():
			return n, io.EOF
		case at >= s.dirEnd:
			k = copy(p[n:], s.tail[at-s.dirEnd:])
		case at >= s.dataEnd:
			k = s.readRecords(p[n:], at)
		default:
			k, err = s.readEntries(ctx, p[n:], at)
		}
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// walk calls f with each entry, beginning with the one numbered from, and its place
// in the view. It stops when f returns false.
func (s *Stitched) walk(from int, f func(i, piece int, e *stitched, at mark64) (more bool)) {
	m := s.marks[from/markEvery]
	piece := s.pieceOf(from)
	for i := from; i < len(s.entries); i++ {
		for piece+1 < len(s.first) && i >= s.first[piece+1] {
			piece++
		}
		e := &s.entries[i]
		if !f(i, piece, e, m) {
			return
		}
		m.record += s.recordLen(piece, e, m.at)
		m.at += s.headerLen(piece, e) + e.packed
	}
}

// readRecords copies bytes of the directory.
func (s *Stitched) readRecords(p []byte, off int64) int {
	n := 0
	var b []byte
	mark := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].record > off }) - 1
	s.walk(mark*markEvery, func(_, piece int, e *stitched, at mark64) bool {
		length := s.recordLen(piece, e, at.at)
		if skip := off + int64(n) - at.record; skip < length {
			b = s.appendRecord(b[:0], piece, e, at.at)
			n += copy(p[n:], b[skip:])
		}
		return n < len(p)
	})
	return n
}

// readEntries copies bytes of headers and data.
func (s *Stitched) readEntries(ctx context.Context, p []byte, off int64) (n int, err error) {
	var b []byte
	mark := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].at > off }) - 1
	s.walk(mark*markEvery, func(i, piece int, e *stitched, at mark64) bool {
		length := s.headerLen(piece, e)
		skip := off + int64(n) - at.at
		if skip >= length+e.packed {
			return true
		}
		if skip < length {
			b = s.appendHeader(b[:0], piece, e)
			n += copy(p[n:], b[skip:])
			skip = length
		}
		if want := min(int64(len(p)-n), length+e.packed-skip); want > 0 {
			var k int
			k, err = s.readData(ctx, i, piece, e, p[n:n+int(want)], skip-length)
			n += k
		}
		return err == nil && n < len(p)
	})
	return n, err
}

// readData fills p from an entry's packed bytes.
func (s *Stitched) readData(ctx context.Context, i, piece int, e *stitched, p []byte, off int64) (int, error) {
	src := s.pieces[piece].File
	if src == nil {
		src = s.pieces[piece].Zip
		data, err := s.locate(ctx, i, src, e)
		if err != nil {
			return 0, err
		}
		off += data
	}
	n, err := src.ReadAt(ctx, p, off)
	if n == len(p) {
		err = nil
	} else if err == nil || err == io.EOF {
		err = fmt.Errorf("read piece %d at %d: %w", piece+1, off+int64(n), io.ErrUnexpectedEOF)
	}
	return n, err
}

// locate returns where an entry's packed bytes are in its zip.
func (s *Stitched) locate(ctx context.Context, i int, src Source, e *stitched) (int64, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last.entry == i {
		return last.data, nil
	}
	data, err := dataOf(ctx, src, e.header)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.last = located{i, data}
	s.mu.Unlock()
	return data, nil
}
