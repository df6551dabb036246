// Package fs shows downloads as a FUSE file system: the tree, its attributes,
// who waits for what, and which errno says what went wrong.
//
// A node makes one call into package download and fills attributes or an errno;
// everything that is remembered, polled, fetched or retried is done there. This
// is the only package that imports go-fuse.
//
// Three rules run through all nodes. Looking around never waits and using an
// archive does: waits.go says who waits, and why. A context that comes with a
// request is not kept when the method returns, because go-fuse uses it again (see
// filesystem.interruptible). And no lock is held while the domain is called or
// the kernel is notified.
package fs
