package fs

import (
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"downloadfs/zipfile"
)

// kind is what an inode shows of a download; together with the download's serial
// number it makes the inode number.
type kind uint64

const (
	kindDirectory kind = iota
	kindArchive
	kindStatus
	kindStatusJSON
	kindNodes
	kindContents
)

// The inode numbers of what is always there. Serial numbers start at 1, so
// those of downloads start at 16.
const (
	inoRoot      = 1
	inoReadme    = 2
	inoDownloads = 3
	inoControl   = 4
	inoTrees     = 5
	inoMarks     = 6 // and the numbers that follow, one each
)

// inodeNumber returns the number of one inode of a download. It depends on the
// journal only: cp and mv take a file whose number changed for another one
// ("replaced while being copied"), between two lookups as after a remount.
func inodeNumber(serial uint64, k kind) uint64 { return serial<<4 | uint64(k) }

// contentsInode returns the number of what is inside a download's archive. The
// numbers of one archive are in the order in which its bytes are: cp copies in the
// order of inode numbers.
func contentsInode(serial uint64, at zipfile.Node) uint64 {
	return 1<<62 | serial*zipfile.MaxNodes | uint64(at)
}

func stableFile(ino uint64) fusefs.StableAttr {
	return fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: ino}
}

func stableDir(ino uint64) fusefs.StableAttr {
	return fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino}
}
