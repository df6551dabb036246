// Package cache keeps finished archives on local disk and reads what is missing from a
// [download.Source]. It implements [download.Archives]. It is not an HTTP client, and it
// does not parse zips; it only fetches an archive's tail early, where a zip's directory is.
//
// # On disk
//
// Each archive has one sparse file that holds its bytes at their own offsets, in blocks of
// [BlockSize]. A bbolt index says which blocks are there and what their CRC32C is. One
// process at a time owns the directory (0700, files 0600) through a lock file:
//
//	CACHEDIR.TAG  tells backup programs to leave the directory out
//	lock          flock, held while the cache is open; a list is read without it
//	index.db      which blocks are there
//	archives/     the data files; their names derive from a hash of the id
//
// # Guarantees
//
// A block is written before it counts as present, and synced before the index claims it.
// Syncs and index commits are batched: a crash loses the last seconds of fetching but never
// leaves a false claim. A block of an earlier run is checked against its CRC32C before its
// first use. A block of this run is checked at each read from the file until it is synced,
// because Linux may have failed to write its pages and forgotten them. A damaged block is
// logged, fetched again and never served. A failed sync gives up all blocks that it was to
// cover. A corrupt or missing index empties the cache and nothing else.
//
// The size limit is hard. Room is reserved before a write. It stays charged until the
// disk has it back, that is, when the last descriptor of a file without a name is closed,
// or a damaged block is punched out or fetched again. To make room, the cache evicts
// whole archives, the least recently used first, but none that is open. An archive that
// could never fit whole takes only free room. If there is no room, or the disk is full or
// unusable, archives are read from the source through a bounded window in memory, and the
// reader notices nothing.
//
// # Fetching
//
// At most one stream fetches a block. All its readers wait for that stream, each with its
// own context, and read from the block's buffer as it fills. The other files describe how
// far streams run ahead (schedule.go), how many run side by side (lanes.go), which blocks
// stay in memory (pool.go), and which go past the page cache (direct.go).
package cache
