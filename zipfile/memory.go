package zipfile

import (
	"container/list"
	"slices"
	"sync"
)

const (
	// pieceLen is the unit in which entries are unpacked.
	pieceLen = 128 << 10
	// windowLen is how far back deflate refers, and so the size of a checkpoint.
	windowLen = 32 << 10
	// maxPieces, maxWindows and maxCursors bound what all readers keep together.
	maxPieces  = 6 << 20 // bytes
	maxWindows = 8 << 20 / windowLen
	maxCursors = 32
)

// Memory holds what makes continuing and seeking cheap for readers: the pieces
// unpacked last, checkpoints to start at, and parked streams. It is bounded for all
// readers together. What was used longest ago goes first, and must be unpacked again
// if it is needed.
type Memory struct {
	mu      sync.Mutex // guards all that follows
	pieces  map[pieceKey]*list.Element
	recent  list.List // of *piece, the latest in front
	bytes   int
	free    [][]byte  // buffers for whole pieces
	windows list.List // of *mark, the latest in front
	cursors list.List // of *cursor, the latest in front

	maxPieces, maxWindows, maxCursors int // never change
}

// NewMemory returns an empty memory.
func NewMemory() *Memory {
	return &Memory{pieces: make(map[pieceKey]*list.Element), maxPieces: maxPieces, maxWindows: maxWindows, maxCursors: maxCursors}
}

type pieceKey struct {
	r *Reader
	i int64
}

// piece is a part of an entry, unpacked.
type piece struct {
	key  pieceKey
	data []byte
	refs int // callers that copy from it, and the memory itself while it keeps the piece
}

// piece returns a piece that is kept, or nil. The caller releases it.
func (m *Memory) piece(k pieceKey) *piece {
	m.mu.Lock()
	defer m.mu.Unlock()
	el := m.pieces[k]
	if el == nil {
		return nil
	}
	m.recent.MoveToFront(el)
	p := el.Value.(*piece)
	p.refs++
	return p
}

// buffer returns a buffer for a piece of n bytes. Pieces that nearly fill one share
// the buffers for whole pieces, so that files of that size leave no garbage.
func (m *Memory) buffer(n int) []byte {
	if n < pieceLen/2 {
		return make([]byte, n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.free) - 1; last >= 0 {
		b := m.free[last]
		m.free = m.free[:last]
		return b[:n]
	}
	return make([]byte, n, pieceLen)
}

// recycle takes back a buffer that buffer gave.
func (m *Memory) recycle(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reuse(b)
}

// reuse keeps a buffer for another piece; m.mu is held.
func (m *Memory) reuse(b []byte) {
	const spare = 4
	if cap(b) == pieceLen && len(m.free) < spare {
		m.free = append(m.free, b[:pieceLen])
	}
}

// keep keeps a piece. The caller releases it.
func (m *Memory) keep(k pieceKey, data []byte) *piece {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el := m.pieces[k]; el != nil {
		m.dropPiece(el)
	}
	p := &piece{key: k, data: data, refs: 2}
	m.pieces[k] = m.recent.PushFront(p)
	for m.bytes += cap(data); m.bytes > m.maxPieces; {
		m.dropPiece(m.recent.Back())
	}
	return p
}

// dropPiece forgets a piece; m.mu is held.
func (m *Memory) dropPiece(el *list.Element) {
	p := m.recent.Remove(el).(*piece)
	delete(m.pieces, p.key)
	m.bytes -= cap(p.data)
	m.unref(p)
}

func (m *Memory) release(p *piece) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unref(p)
}

// unref gives up a reference; m.mu is held.
func (m *Memory) unref(p *piece) {
	if p.refs--; p.refs == 0 {
		m.reuse(p.data)
	}
}

// mark is a checkpoint: a place at which unpacking can start.
type mark struct {
	r      *Reader
	at     int64 // in the entry
	packed int64 // in its data
	bits   uint8 // bits of the byte there that precede at
	window []byte
	el     *list.Element
}

// mark returns the last checkpoint of r at or before at.
func (m *Memory) mark(r *Reader, at int64) *mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := r.markAfter(at)
	if i == 0 {
		return nil
	}
	k := r.marks[i-1]
	m.windows.MoveToFront(k.el)
	return k
}

// wants reports whether a checkpoint at that place is useful: there is none less than
// span before it or span/2 after it.
func (m *Memory) wants(r *Reader, at, span int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := r.markAfter(at)
	before := int64(0)
	if i > 0 {
		before = r.marks[i-1].at
	}
	return at-before >= span && (i == len(r.marks) || r.marks[i].at-at >= span/2)
}

// addMark keeps a checkpoint.
func (m *Memory) addMark(k *mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k.r.marks = slices.Insert(k.r.marks, k.r.markAfter(k.at), k)
	k.el = m.windows.PushFront(k)
	for m.windows.Len() > m.maxWindows {
		m.dropMark(m.windows.Back().Value.(*mark))
	}
}

// dropMark forgets a checkpoint; m.mu is held.
func (m *Memory) dropMark(k *mark) {
	m.windows.Remove(k.el)
	i := k.r.markAfter(k.at)
	k.r.marks = slices.Delete(k.r.marks, i-1, i)
}

// cursor takes out the last stream of r at or before at, if it is past after.
func (m *Memory) cursor(r *Reader, after, at int64) *cursor {
	m.mu.Lock()
	defer m.mu.Unlock()
	var best *list.Element
	for el := m.cursors.Front(); el != nil; el = el.Next() {
		c := el.Value.(*cursor)
		if c.r == r && c.pos >= after && c.pos <= at && (best == nil || c.pos > best.Value.(*cursor).pos) {
			best = el
		}
	}
	if best == nil {
		return nil
	}
	return m.cursors.Remove(best).(*cursor)
}

// park keeps a stream until it is continued.
func (m *Memory) park(c *cursor) {
	m.mu.Lock()
	m.cursors.PushFront(c)
	var gone *cursor
	if m.cursors.Len() > m.maxCursors {
		gone = m.cursors.Remove(m.cursors.Back()).(*cursor)
	}
	m.mu.Unlock()
	if gone != nil {
		gone.close()
	}
}

// forget drops what is kept for a reader. It drops its checkpoints only if all is
// set.
func (m *Memory) forget(r *Reader, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for el := m.cursors.Front(); el != nil; {
		next := el.Next()
		if c := el.Value.(*cursor); c.r == r {
			m.cursors.Remove(el)
			c.close()
		}
		el = next
	}
	if !all {
		return
	}
	for el := m.recent.Front(); el != nil; {
		next := el.Next()
		if el.Value.(*piece).key.r == r {
			m.dropPiece(el)
		}
		el = next
	}
	for len(r.marks) > 0 {
		m.dropMark(r.marks[0])
	}
}
