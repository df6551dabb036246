package fs

import (
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"downloadfs/zipfile"
)

// kind says what an inode shows of a download. The inode number is made of the kind
// and the download's serial number.
type kind uint64

const (
	kindDirectory kind = iota
	kindArchive
	kindStatus
	kindStatusJSON
	kindNodes
	kindContents
)

// These are the inode numbers of what is always there. Serial numbers start at 1, so
// downloads' inode numbers start at 16.
const (
	inoRoot      = 1
	inoReadme    = 2
	inoDownloads = 3
	inoControl   = 4
	inoTrees     = 5
	inoMarks     = 6 // and the following numbers, one for each mark
	inoCacheTag  = 12
	inoStats     = 14
	inoBandwidth = 15
)

// inodeNumber returns the number of one inode of a download. It depends on the
// journal only. If the number changed between two lookups, or over a remount, cp and
// mv would take the file for another one ("replaced while being copied").
func inodeNumber(serial uint64, k kind) uint64 { return serial<<4 | uint64(k) }

// contentsInode returns the number of a node inside a download's archive. The numbers
// of one archive follow the order of its bytes, because cp copies in the order of
// inode numbers.
func contentsInode(serial uint64, at zipfile.Node) uint64 {
	return 1<<62 | serial*zipfile.MaxNodes | uint64(at)
}

func stableFile(ino uint64) fusefs.StableAttr {
	return fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: ino}
}

func stableDir(ino uint64) fusefs.StableAttr {
	return fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino}
}
