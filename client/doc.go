// Package client speaks to an Alfresco content server over its public REST API:
// it logs in, asks for downloads, watches, cancels and deletes them, and streams
// finished archives. A [Client] is a download.Service, a download.Source and a
// download.Nodes.
//
// It is the only package that calls this API. errors.go decides what a status code means,
// retry.go what may be sent again, and stream.go which answers about ranges are
// believed. All else is plumbing around these. Nothing that a server sends is trusted:
// bodies are bounded, ids, names and numbers are checked, and text is cleaned before a
// person or a log sees it.
//
// It keeps no state of downloads, only that of the login: a ticket or token, and cookies.
package client
