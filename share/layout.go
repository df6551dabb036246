package share

import (
	"fmt"
	"hash/crc32"

	"downloadfs/download"
)

const (
	// blockSize is the unit in which bytes are checked.
	blockSize = 1 << 20
	// pieceBlocks is how many blocks an object has at most. One object is written with
	// one request, so that no half of it is ever seen, and a reader elsewhere waits for
	// one piece.
	pieceBlocks = 16
	// tailBlocks are an object of their own and the first that is written: the end of a
	// zip is what its readers want first.
	tailBlocks = 1
	// maxBlocks bounds what a size in a damaged object can make us allocate. Archives
	// above 1 TiB are not shared.
	maxBlocks = 1 << 20
)

// castagnoli is the table of CRC32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// layout says how an archive is cut into pieces.
type layout struct {
	size   int64
	blocks int
	body   int // blocks before the tail
	pieces int // with the tail, which is the last
}

func newLayout(size int64) layout {
	l := layout{size: size, blocks: int((size + blockSize - 1) / blockSize)}
	l.body = l.blocks
	if l.blocks > pieceBlocks {
		l.body -= tailBlocks
	}
	l.pieces = (l.body + pieceBlocks - 1) / pieceBlocks
	if l.body < l.blocks {
		l.pieces++
	}
	return l
}

// piece returns the piece that block b is in.
func (l layout) piece(b int) int {
	if b >= l.body {
		return l.pieces - 1
	}
	return b / pieceBlocks
}

// span returns the blocks [from, to) of piece k.
func (l layout) span(k int) (from, to int) {
	from = k * pieceBlocks
	if l.body < l.blocks && k == l.pieces-1 {
		return l.body, l.blocks
	}
	return from, min(from+pieceBlocks, l.body)
}

// offset returns the offset of block b, or the size for the block behind the last.
func (l layout) offset(b int) int64 { return min(int64(b)*blockSize, l.size) }

// order returns the pieces in the order in which they are written.
func (l layout) order() []int {
	order := make([]int, l.pieces)
	for k := range l.pieces {
		order[l.turn(k)] = k
	}
	return order
}

// turn returns the place of piece k in that order.
func (l layout) turn(k int) int {
	if l.body == l.blocks {
		return k
	}
	return (k + 1) % l.pieces
}

// The keys below an account's prefix.

func archivePrefix(id download.ID) string       { return "archive/" + string(id) + "/" }
func pieceKey(id download.ID, k int) string     { return fmt.Sprintf("archive/%s/p-%06d", id, k) }
func doneKey(id download.ID) string             { return archivePrefix(id) + "done" }
func nodesKey(id download.ID) string            { return "nodes/" + string(id) }
func leasePrefix(id download.ID) string         { return "lease/" + string(id) + "/" }
func linkKey(prefix string, link uint64) string { return fmt.Sprintf("%s%012d", prefix, link) }
