// Package cache keeps finished archives on local disk and reads what is missing
// from a [download.Source]. It implements [download.Archives].
//
// # On disk
//
// One sparse file per archive holds its bytes at their own offsets, in blocks of
// [BlockSize]. A bbolt index says which blocks are there and what their CRC32C
// is. Everything lies in one directory (0700, files 0600) that one process at a
// time owns through a lock file:
//
//	CACHEDIR.TAG  tells backup programs to leave the directory out
//	lock          flock, held while the cache is open
//	index.db      which blocks are there
//	archives/     the data files; their names derive from a hash of the id
//
// # What is guaranteed
//
// A block's bytes are written before it counts as present, and are synced to
// the disk before the index claims it; syncs and index commits are batched, so a
// crash loses the last seconds of fetching but never leaves a false claim. In
// addition every claim of an earlier run is checked against its CRC32C before
// the block is first used: a torn or damaged block is logged, fetched again and
// never served. So is a block of this run whenever it is read from the file before
// a sync has succeeded: Linux may have failed to write its pages, and forgotten
// them. When a sync fails, all blocks that it was to cover are given up. A corrupt
// or missing index empties the cache and nothing else.
//
// The size limit is hard. Room is reserved before a block is written, and counts
// until the disk has it back: when the last descriptor of a file without a name is
// closed, or a damaged block is punched out or fetched again. The least recently
// used archives that nobody has open make room, whole. When there is no room, the
// disk is full or the directory cannot be used at all, archives are read straight
// from the source through a bounded window in memory, and the reader notices
// nothing. An archive that could never fit whole takes only room that is free
// already.
//
// # How bytes are fetched
//
// A block is fetched by at most one stream, and all its readers wait for that
// one, each with its own context; they are served from the block's buffer as it
// fills. A first read asks for little (its block, and with the head the tail that
// every zip reader wants next); a reader that goes on sequentially gets a long
// stream that runs ahead of it in a bounded window; a far seek opens another.
// Blocks near such a reader stay in memory until it has passed, within the pool that
// bounds all blocks in memory, and are written past the page cache unless the disk is
// slower than the stream; the others go through the page cache, which then is where
// their readers find them.
// More streams, up to Config.Streams, run side by side only while that raises
// the measured throughput.
//
// The package is not an HTTP client and does not know what a zip is.
package cache
