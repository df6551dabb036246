// Package fetch brings the archive of some nodes into a file without a mount: it
// asks the server for a download, waits until that is ready, and streams the
// archive, going on where an earlier try was interrupted. It is for callers that
// wait; it keeps no cache and needs no FUSE.
package fetch
