// Package fetch downloads the archive of some nodes to a file, without a mount. It
// asks the server for a download, waits until the download is ready, and streams the
// archive. It resumes where an earlier try was interrupted. It is for callers that
// wait, and needs no FUSE. parts.go gets what is too large for one zip, through a
// download.Manager; extract.go unpacks.
package fetch
