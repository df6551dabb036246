package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// setBlocks says how many blocks of 512 bytes a file takes, which go-fuse
// otherwise takes from its size.
func setBlocks(out *fuse.Attr, blocks uint64) { out.Blksize, out.Blocks = blockSize, blocks }
