//go:build !linux

package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// setBlocks sets how many blocks of 512 bytes a file takes.
func setBlocks(out *fuse.Attr, blocks uint64) { out.Blocks = blocks }
