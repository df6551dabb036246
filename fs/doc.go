// Package fs shows downloads as a FUSE file system: the tree, its attributes, which
// callers wait for what, and which errno reports which error.
//
// A node makes one call into package download and fills in attributes or an errno.
// Package download remembers, polls, fetches and retries. This is the only package
// that imports go-fuse.
//
// Three rules hold in all nodes:
//
//   - Browsing never waits, and touching does. waits.go says which callers wait, and why.
//   - A method does not keep its request's context after it returns, because go-fuse
//     reuses it (see filesystem.interruptible).
//   - No lock is held while the domain is called or the kernel is notified.
package fs
