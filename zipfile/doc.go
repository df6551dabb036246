// Package zipfile reads zips in place, wherever their bytes are. It makes a tree of
// the central directory and reads single entries from any offset, without unpacking
// anything to disk.
//
// An [Index] is the tree. It is small (some 30 bytes an entry, the name included) and
// never changes. It is the same for the same archive, numbers included. A [Reader]
// reads one entry. Its bytes come from a [Source]. In package fs that is a
// download.Archive (fs/contents.go), which fetches what the cache lacks. Readers keep
// data that makes continuing and seeking cheap. A [Memory] bounds that data for all of
// them together.
//
// Nothing that an archive says is believed before it is checked, because the archive
// comes from somebody else. A directory that contradicts itself gives no index
// ([ErrFormat]). An entry whose bytes are not what the directory says is
// [ErrDamaged]. An entry that this package cannot read is [ErrUnsupported].
//
// Several zips are shown as one by [Stitched] (stitch.go).
//
// The package knows nothing of FUSE, HTTP or downloads.
package zipfile
