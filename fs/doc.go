// Package fs shows downloads as a FUSE file system: the tree, its attributes, which
// callers wait for what, and which errno reports which error.
//
// A node calls package download and fills in attributes or an errno.
// Package download remembers, polls, fetches and retries. This is the only package
// that imports go-fuse.
//
// Three rules hold in all nodes:
//
//   - Browsing never waits, except inside contents, and touching does. waits.go says which
//     callers wait, and why.
//   - A method does not keep its request's context after it returns, because go-fuse
//     reuses it (see filesystem.interruptible).
//   - No lock is held while the kernel is notified or the domain is called, except to
//     close an archive, which never waits.
package fs
