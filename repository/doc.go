// Package repository is an embedded content server that speaks Alfresco's REST
// API over the files of a folder: nodes, content, downloads and tickets. It is
// what serve and demo run and what the tests mount.
//
// It behaves as a real Alfresco server does, the awkward parts included: a test
// double that is kinder than the real server hides bugs. Where a behaviour looks
// wrong (a suffix range that answers the first bytes, a Content-Length that
// promises more than is sent, a failed zip that stays IN_PROGRESS for ever), it
// is the real server's, and a test holds it to that.
//
// The folder is -root-. A node's id is derived from its path, so it is the same
// in every run, and another one after a rename; a node was created when its file
// was last modified, since a file system may not know better. "User Homes/NAME"
// is -my- of the user NAME, who alone reads it besides the administrators;
// everything else is readable by every user and the administrators' to delete, but
// for the few folders that Alfresco lets nobody delete.
//
// What it is not: a content management system. Nothing is written to the folder,
// and the zips are kept outside of it; a deleted node is forgotten by the server
// and stays on disk. Symbolic links, special files and names that are not UTF-8
// are not nodes, and no path leads out of the folder.
// GET /-/stats is no part of Alfresco: it tells callers on the same machine how
// many requests were made, for tests.
//
// It shares no code with the client, so that one misreading of the API cannot
// hide on both sides.
package repository
