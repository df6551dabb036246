package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// setBlocks sets how many blocks of 512 bytes a file takes. Without it go-fuse
// computes them from the size.
func setBlocks(out *fuse.Attr, blocks uint64) { out.Blksize, out.Blocks = blockSize, blocks }
