package cache

import "os"

// The page cache keeps the data file from behindMost to behindLeast behind a reader no
// longer, and closer than that for others who read nearby and for a kernel's read-ahead,
// which comes in pieces and out of order. Folios may have 2 MiB, and go as a whole.
const (
	behindLeast = 8 * BlockSize
	behindMost  = 16 * BlockSize
)

// leaveBehind notes that a reader gets [off, off+n) from the data file. Once in each block
// it has the kernel give up what lies behind.
//
// FUSE keeps what readers get in a page cache of its own. Kept in the data file's too,
// an archive takes new memory twice, which costs more than all else; given up, the same
// memory serves for the next bytes.
func (a *archive) leaveBehind(f *os.File, off, n int64) {
	if start := blockOffset(blockOf(off + n - 1)); start >= off && start > behindLeast {
		leavePageCache(f, max(0, start-behindMost), start-behindLeast)
	}
}
