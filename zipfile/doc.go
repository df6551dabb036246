// Package zipfile reads zips in place, wherever their bytes are: it makes a tree
// of the central directory and reads single entries, from any offset, without
// unpacking anything to disk.
//
// An [Index] is the tree: small (some 70 bytes an entry besides its name), never
// changed, and the same for the same archive, numbers included. A [Reader] reads
// one entry. What readers keep, so that going on and seeking is cheap, is bounded
// for all of them together by a [Memory].
//
// Nothing an archive says is believed before it was checked, since the archive
// comes from somebody else: a directory that contradicts itself is no index at
// all ([ErrFormat]), an entry whose bytes are not what the directory says is
// [ErrDamaged], and one that this package cannot read is [ErrUnsupported].
//
// The package knows no FUSE, no HTTP and no downloads.
package zipfile
