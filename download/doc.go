// Package download is the domain of downloadfs: what a download is, which
// states it goes through, and the Manager that creates, watches, cancels and
// removes downloads on a content server.
//
// It knows neither FUSE nor HTTP. The server is a [Service], the bytes of an archive
// come from a [Source], and archives kept on disk are [Archives]; the packages client
// and cache implement them. This package imports only the standard library,
// golang.org/x/sync, zipfile and its own subpackages.
//
// The Manager owns all work. A caller's context only bounds how long that caller waits:
// an interrupted wait loses no download. Create, Adopt, Rename and Remove return when the
// journal has synced the change to disk, and so does the system call behind them. So does
// a Discard, unless it only drops a cached copy.
//
// The subpackages know nothing of a download's life: [downloadfs/download/list] parses
// what a user writes to the control file, [downloadfs/download/schedule] says when the
// server is asked, [downloadfs/download/split] plans how to get a download in parts,
// and [downloadfs/download/journal] keeps records on disk. This package holds what a
// download goes through: create.go and adopt.go, poller.go, wait.go, rename.go,
// discard.go, remove.go and removal.go, and parts.go for what is too large for one zip.
// The server's state (server.go) tells an outage or a refused login from a download that
// stalls.
package download
