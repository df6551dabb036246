// Package split plans how to get more out of a server than it zips at once. It walks
// the nodes that were asked for, adds up sizes, and cuts everything into pieces that
// the server accepts.
//
// The pieces are in the order of the one zip that the server would have made. All
// nodes of a piece have the same path in front of their entries. So no one has to match
// the entries of a part's zip to nodes, even if some are twins, renamed or gone by then.
//
// It knows no downloads and no HTTP, and makes no requests itself.
package split
