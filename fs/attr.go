package fs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// settled is how long the kernel may keep what can no longer change.
const settled = time.Hour

const (
	blockSize = 4096
	// pendingBlocks is how many blocks of 512 bytes, for du, an archive has that is
	// not there yet. A file with no blocks would be all hole, and archivers need not
	// read holes.
	pendingBlocks = blockSize / 512
)

// attributes are what a node tells about itself. Mode holds the permissions only.
type attributes struct {
	mode    uint32
	nlink   uint32
	size    int64
	pending bool // no byte of size is there yet
	created time.Time
	changed time.Time
	valid   time.Duration // how long the kernel may keep the attributes
	entry   time.Duration // how long the kernel may keep the name
}

// attributer is a node that knows its attributes without waiting for anything.
type attributer interface {
	attributes() attributes
}

// owner is the user who mounted the file system. They own everything in it.
type owner struct{ uid, gid uint32 }

func (a attributes) fill(o owner, out *fuse.Attr) {
	out.Mode = a.mode
	out.Nlink = a.nlink
	out.Size = uint64(max(a.size, 0))
	if a.pending {
		setBlocks(out, pendingBlocks)
	}
	out.Uid, out.Gid = o.uid, o.gid
	out.SetTimes(&a.changed, &a.changed, &a.changed)
}

func (a attributes) fillEntry(o owner, out *fuse.EntryOut) {
	a.fill(o, &out.Attr)
	out.SetAttrTimeout(a.valid)
	out.SetEntryTimeout(a.entry)
}

func (a attributes) fillStatx(o owner, out *fuse.StatxOut) {
	// These are STATX_BASIC_STATS and STATX_BTIME of statx(2).
	const basicStats, btime = 0x7ff, 0x800
	out.Mask = basicStats | btime
	out.Mode = uint16(a.mode)
	out.Nlink = a.nlink
	out.Size = uint64(max(a.size, 0))
	if a.pending {
		out.Blksize, out.Blocks = blockSize, pendingBlocks
	}
	out.Uid, out.Gid = o.uid, o.gid
	out.Mtime = statxTime(a.changed)
	out.Atime, out.Ctime = out.Mtime, out.Mtime
	out.Btime = statxTime(a.created)
	out.SetTimeout(a.valid)
}

func statxTime(t time.Time) fuse.SxTime {
	return fuse.SxTime{Sec: uint64(t.Unix()), Nsec: uint32(t.Nanosecond())}
}
