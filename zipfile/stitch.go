package zipfile

import (
	"context"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"
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

// Stitched is one zip made of others. It is a view that copies nothing, and keeps
// less than a byte an entry: every so many entries it has a mark, and from there on
// it reads the directories of the zips again. The packed bytes come from the zips.
// The headers around them are made when they are read. They depend on the pieces
// alone, so the result is always the same.
//
// Each local header has sizes and checksum, so a program that unpacks from a pipe
// need not trust a data descriptor. Folders have no bytes, although they had two in a
// streamed zip.
//
// Its methods are safe for concurrent use.
type Stitched struct {
	pieces  []Piece
	ends    []ending // of the pieces' zips
	marks   []mark64 // of the first entry of each group
	entries int
	dataEnd int64 // where the directory begins
	dirEnd  int64
	tail    []byte // the end records
	files   int
	bytes   int64

	mu     sync.Mutex
	recent []*group // those read last, the latest at the end
}

// stitched is an entry, without what its piece says.
type stitched struct {
	name         []byte
	packed, size int64
	header       int64 // of the local header in the piece's zip
	ticks        int64 // when it was modified, in NTFS units; 0 if only the DOS time is known
	crc          uint32
	dosTime      uint16
	dosDate      uint16
	method       uint16
	flags        uint16
}

// mark64 says where an entry's header and directory record are in the view, and where
// its record is in the directory of its piece.
type mark64 struct {
	at, record int64
	source     int64
	piece      int
}

// ending says where the records of a zip's directory end, and how much precedes the
// zip.
type ending struct{ to, base int64 }

// group is the entries from one mark to the next. They are of one piece.
type group struct {
	number  int
	entries []stitched
	data    []atomic.Int64 // where in the zip each entry's packed bytes begin; 0 if not known
}

const (
	markEvery  = 64
	keptGroups = 8
)

// Stitch reads the directories of the pieces' zips.
func Stitch(ctx context.Context, pieces []Piece) (*Stitched, error) {
	s := &Stitched{pieces: pieces, ends: make([]ending, len(pieces))}
	var m mark64
	for i := range pieces {
		p := &pieces[i]
		m.piece, m.source = i, 0
		var err error
		if p.Zip == nil {
			err = s.add(p, p.alone(), 0, &m)
		} else {
			err = s.addZip(ctx, p, &m)
		}
		if err != nil {
			return nil, fmt.Errorf("piece %d of %d: %w", i+1, len(pieces), err)
		}
	}
	s.dataEnd = m.at
	for i := range s.marks {
		s.marks[i].record += s.dataEnd
	}
	s.dirEnd = s.dataEnd + m.record
	s.tail = appendEnd(nil, int64(s.entries), m.record, s.dataEnd)
	return s, nil
}

// alone returns the entry of a piece that is no zip.
func (p *Piece) alone() stitched {
	if p.File != nil {
		return stitched{packed: p.Size, size: p.Size, crc: p.CRC}.at(p.Modified)
	}
	return stitched{name: []byte("/")}.at(p.Modified)
}

func (s *Stitched) addZip(ctx context.Context, p *Piece, m *mark64) error {
	e, err := findEnd(ctx, p.Zip, p.Size)
	if err != nil {
		return err
	}
	n := 0
	to, err := eachRecord(ctx, p.Zip, e, func(rec *record, source int64) error {
		m.source = source
		n++
		return s.add(p, rec.stitched(e.base), n-1, m)
	})
	s.ends[m.piece] = ending{to, e.base}
	return err
}

// stitched returns the entry of a record. Its name is valid as long as the record's.
func (rec *record) stitched(base int64) stitched {
	e := stitched{
		name: rec.name, packed: rec.packed, size: rec.size, header: rec.header + base, crc: rec.crc,
		dosTime: rec.dosTime, dosDate: rec.dosDate, method: rec.method, flags: rec.flags, ticks: rec.ticks(),
	}
	if isFolder(rec.name) && e.size == 0 {
		e.packed, e.crc, e.method = 0, 0, methodStored
	}
	return e
}

func isFolder(name []byte) bool { return len(name) > 0 && name[len(name)-1] == '/' }

// eachRecord calls f with the records of a zip's directory, in order, and with the
// offset of each. It returns where the last one ends.
func eachRecord(ctx context.Context, src Source, e end, f func(rec *record, off int64) error) (int64, error) {
	var rec record
	records := newRecords(ctx, src, e)
	for n := uint64(0); ; n++ {
		off := records.end - records.left()
		more, err := records.next(&rec)
		if err != nil {
			return 0, err
		}
		if !more {
			if n != e.records {
				return 0, formatf("its directory is said to have %d entries and has %d", e.records, n)
			}
			return off, nil
		}
		if err := f(&rec, off); err != nil {
			return 0, err
		}
	}
}

// add takes in the nth entry of a piece, which is at m, and moves m to the next.
func (s *Stitched) add(p *Piece, e stitched, n int, m *mark64) error {
	if len(p.Path)+len(e.name) > saturated16 {
		return formatf("a path of %d bytes is too long", len(p.Path)+len(e.name))
	}
	if n%markEvery == 0 {
		s.marks = append(s.marks, *m)
	}
	s.entries++
	s.bytes += e.size
	if !isFolder(e.name) && (len(e.name) > 0 || !isFolder([]byte(p.Path))) {
		s.files++
	}
	s.pass(&e, m)
	return nil
}

// pass moves m past an entry.
func (s *Stitched) pass(e *stitched, m *mark64) {
	m.record += s.recordLen(m.piece, e, m.at)
	m.at += s.headerLen(m.piece, e) + e.packed
}

// Size returns how long the zip is.
func (s *Stitched) Size() int64 { return s.dirEnd + int64(len(s.tail)) }

// Entries returns how many entries the zip has.
func (s *Stitched) Entries() int { return s.entries }

// Files returns how many of the entries are not folders.
func (s *Stitched) Files() int { return s.files }

// Bytes returns the total size of the files, unpacked.
func (s *Stitched) Bytes() int64 { return s.bytes }

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
			k, err = s.readRecords(ctx, p[n:], at)
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

// group returns the entries that begin at a mark.
func (s *Stitched) group(ctx context.Context, number int) (*group, error) {
	s.mu.Lock()
	for i, g := range s.recent {
		if g.number == number {
			copy(s.recent[i:], s.recent[i+1:])
			s.recent[len(s.recent)-1] = g
			s.mu.Unlock()
			return g, nil
		}
	}
	s.mu.Unlock()
	g, err := s.readGroup(ctx, number)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent) == keptGroups {
		s.recent = append(s.recent[:0], s.recent[1:]...)
	}
	s.recent = append(s.recent, g)
	return g, nil
}

func (s *Stitched) readGroup(ctx context.Context, number int) (*group, error) {
	m := s.marks[number]
	g := &group{number: number}
	p := &s.pieces[m.piece]
	if p.Zip == nil {
		g.entries = []stitched{p.alone()}
		return g, nil
	}
	end := s.ends[m.piece].to
	if number+1 < len(s.marks) && s.marks[number+1].piece == m.piece {
		end = s.marks[number+1].source
	}
	// All at once, so that the records' names stay valid.
	records := &records{ctx: ctx, src: p.Zip, off: m.source, end: end, room: make([]byte, end-m.source)}
	if err := records.readAll(); err != nil {
		return nil, err
	}
	g.entries = make([]stitched, 0, markEvery)
	for rec := (record{}); ; {
		more, err := records.next(&rec)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		g.entries = append(g.entries, rec.stitched(s.ends[m.piece].base))
	}
	g.data = make([]atomic.Int64, len(g.entries))
	return g, nil
}

// walk calls f with each entry of the groups from number on, and its place in the
// view. It stops when f returns false.
func (s *Stitched) walk(ctx context.Context, number int, f func(g *group, i int, at mark64) (more bool)) error {
	for ; number < len(s.marks); number++ {
		g, err := s.group(ctx, number)
		if err != nil {
			return err
		}
		m := s.marks[number]
		for i := range g.entries {
			if !f(g, i, m) {
				return nil
			}
			s.pass(&g.entries[i], &m)
		}
	}
	return nil
}

// readRecords copies bytes of the directory.
func (s *Stitched) readRecords(ctx context.Context, p []byte, off int64) (int, error) {
	n := 0
	var b []byte
	first := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].record > off }) - 1
	err := s.walk(ctx, first, func(g *group, i int, at mark64) bool {
		e := &g.entries[i]
		length := s.recordLen(at.piece, e, at.at)
		if skip := off + int64(n) - at.record; skip < length {
			b = s.appendRecord(b[:0], at.piece, e, at.at)
			n += copy(p[n:], b[skip:])
		}
		return n < len(p)
	})
	return n, err
}

// readEntries copies bytes of headers and data.
func (s *Stitched) readEntries(ctx context.Context, p []byte, off int64) (n int, err error) {
	var b []byte
	first := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].at > off }) - 1
	failed := s.walk(ctx, first, func(g *group, i int, at mark64) bool {
		e := &g.entries[i]
		length := s.headerLen(at.piece, e)
		skip := off + int64(n) - at.at
		if skip >= length+e.packed {
			return true
		}
		if skip < length {
			b = s.appendHeader(b[:0], at.piece, e)
			n += copy(p[n:], b[skip:])
			skip = length
		}
		if want := min(int64(len(p)-n), length+e.packed-skip); want > 0 {
			var k int
			k, err = s.readData(ctx, g, i, at.piece, p[n:n+int(want)], skip-length)
			n += k
		}
		return err == nil && n < len(p)
	})
	if err == nil {
		err = failed
	}
	return n, err
}

// readData fills p from an entry's packed bytes.
func (s *Stitched) readData(ctx context.Context, g *group, i, piece int, p []byte, off int64) (int, error) {
	src := s.pieces[piece].File
	if src == nil {
		src = s.pieces[piece].Zip
		data := g.data[i].Load()
		if data == 0 {
			var err error
			if data, err = dataOf(ctx, src, g.entries[i].header); err != nil {
				return 0, err
			}
			g.data[i].Store(data)
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
