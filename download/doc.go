// Package download is the domain of downloadfs: what a download is, which
// states it goes through, and the Manager that creates, watches, cancels and
// removes downloads on a content server.
//
// It knows neither FUSE nor HTTP. The server is a [Service], the bytes of an
// archive come from a [Source], and archives kept on disk are [Archives]; the
// packages client and cache implement them. Everything else points at this
// package, which itself needs only the standard library and its own rooms.
//
// The Manager owns all work. A caller's context bounds how long that caller
// waits and nothing else: an interrupted wait loses no download.
//
// Rooms of their own, below this one, hold what knows nothing of a download's life:
// [downloadfs/download/list] parses what a user writes to the control file,
// [downloadfs/download/schedule] says when the server is asked, and
// [downloadfs/download/journal] keeps records on disk. What is left here is what a
// download goes through: create.go, poller.go, wait.go, discard.go, remove.go and
// removal.go, with the server's state (server.go), which tells an outage or a refused
// login from a download that stalls.
package download
