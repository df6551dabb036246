// Package client speaks to an Alfresco content server over its public REST API:
// it logs in, asks for downloads, watches, cancels and deletes them, and streams
// finished archives. A [Client] is a download.Service and a download.Source.
//
// It is the only place that knows HTTP. What a status code means is decided in
// errors.go, what may be sent again in retry.go, and which answers about ranges
// are believed in stream.go; all else is plumbing around these. Nothing a server
// sends is trusted: bodies are bounded, ids, names and numbers are checked, and
// text from it is cleaned before a person or a log sees it.
//
// It keeps no state of downloads and caches nothing but the login's ticket.
package client
