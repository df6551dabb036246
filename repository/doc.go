// Package repository is an embedded content server that speaks Alfresco's REST API
// over the files of a folder: nodes, content, downloads and tickets. The commands
// serve and demo run it, and the tests mount it.
//
// It behaves as a real Alfresco server does, including the awkward parts: a test
// double that is kinder than the real server hides bugs. Some behaviours look wrong:
// a suffix range that answers the first bytes, a Content-Length that promises more
// than is sent, a failed zip that stays IN_PROGRESS for ever. They are the real
// server's, and tests insist on them.
//
// The folder is -root-. A node's id is derived from its path. It is the same in every
// run, and changes with a rename. A node counts as created when its file was last
// modified, because a file system may not know better. "User Homes/NAME" is -my- of
// the user NAME. Only NAME and the administrators can read it. Every user can read
// everything else. Administrators can delete everything, except for the few folders
// that Alfresco lets nobody delete.
//
// It is not a content management system. It writes nothing to the folder and keeps
// the zips outside of it. A deleted node is forgotten by the server and stays on
// disk. Symbolic links, special files and names that are not UTF-8 are not nodes, and
// no path leads out of the folder. GET /-/stats is not part of Alfresco: for tests,
// it tells callers on the same machine how many requests were made.
//
// It shares no code with the client, so one misreading of the API cannot hide on both
// sides.
package repository
