// Package list parses the request list that a user writes to the control file: node
// ids, NodeRefs, URLs and repository paths, or one JSON object. It reads the text piece
// by piece, as it is written, and refuses a malformed entry in the write that brings
// it. It makes no request: the Manager resolves paths.
package list
