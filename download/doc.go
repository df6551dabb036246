// Package download is the domain of downloadfs: what a download is, which
// states it goes through, and the Manager that creates, watches, cancels and
// removes downloads on a content server.
//
// It knows neither FUSE nor HTTP. The server is a [Service], the bytes of an
// archive come from a [Source], and archives kept on disk are [Archives]; the
// packages client and cache implement them. Everything else points at this
// package, which itself needs only the standard library and its journal's store.
//
// The Manager owns all work. A caller's context bounds how long that caller
// waits and nothing else: an interrupted wait loses no download.
//
// Its parts: a [ListParser] reads what to download; the journal remembers
// downloads, and what the server must still be told, across mounts; one scheduler
// runs the polls of all downloads and the removals, as often as a server should
// be asked; a forecast per download says when the next poll is worth it; the
// server's state tells an outage or a refused login from a download that stalls.
package download
