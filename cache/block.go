package cache

import "hash/crc32"

// BlockSize is the unit in which archives are fetched, checked and kept.
const BlockSize = 1 << 20

// maxBlocks bounds the bookkeeping for one archive, whose size comes from a server.
// Archives above 1 TiB are never kept.
const maxBlocks = 1 << 20

// castagnoli is the table of CRC32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blockCount returns how many blocks an archive of size bytes has.
func blockCount(size int64) int {
	// Do not round up first: the server's size may be the largest int64.
	return int(size/BlockSize) + int(min(size%BlockSize, 1))
}

// blockOf returns the block that holds the byte at off.
func blockOf(off int64) int { return int(off / BlockSize) }

// blockOffset returns the offset of a block's first byte.
func blockOffset(b int) int64 { return int64(b) * BlockSize }

// blockLen returns the length of block b in an archive of size bytes; only the
// last block is shorter than BlockSize.
func blockLen(size int64, b int) int {
	return int(min(BlockSize, size-blockOffset(b)))
}
