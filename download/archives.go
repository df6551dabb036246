package download

import (
	"context"
	"os"
)

// Archives keeps finished archives on local disk, whole or in part, and reads what is
// missing from a [Source]. Methods are safe for concurrent use.
type Archives interface {
	// Open returns a handle on the archive; it does not wait for the network.
	// The archive's bytes stay on disk at least until the handle is closed.
	Open(a ArchiveInfo) (Archive, error)
	// Prefetch starts fetching the whole archive in the background if it fits.
	// It returns at once; Drop ends the fetch.
	Prefetch(a ArchiveInfo)
	// Cached returns how many of the archive's bytes are on disk, without I/O.
	Cached(id ID) int64
	// Complete reports whether the whole archive is on disk, without I/O.
	Complete(id ID) bool
	// Sync makes the bytes that are on disk survive a crash. It blocks until that is
	// done. If the disk failed to keep some of them, the archive is no longer Complete
	// afterwards.
	Sync(ctx context.Context, id ID) error
	// Drop forgets the archive's bytes and ends its background fetch. Open
	// handles keep working.
	Drop(id ID) error
	// Usage returns the size and use of the cache, in bytes.
	Usage() Usage
}

// Usage is the size and use of a cache, in bytes.
type Usage struct {
	Limit int64 // the most that the cache may hold
	Used  int64
	Free  int64 // what can still be added: min(Limit-Used, room on the disk)
}

// Archive is an open handle on one finished archive.
type Archive interface {
	// ReadAt fills p from offset off, as io.ReaderAt does (io.EOF with a short
	// read at the end). It blocks until the bytes are at hand, ctx ends or the
	// source gives up; a cancelled ctx ends this wait only.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// File returns the local file if it holds bytes [off, off+n) at the same
	// offsets and they are known to be right; it does no I/O on the source. The
	// file is valid until Close and must only be read.
	File(off, n int64) (*os.File, bool)
	// Close releases the handle.
	Close() error
}
