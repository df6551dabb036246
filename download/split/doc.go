// Package split plans how to get more out of a server than it zips at once. It walks
// the nodes that were asked for, adds up sizes, and cuts everything into pieces that
// the server accepts.
//
// The pieces are in the order of the one zip that the server would have made. Each
// comes from one place in it: nodes that are asked for together have the same path in
// front of all their entries. So nobody has to find out which entry of a part's zip
// belongs to which node, even if some are twins, renamed or gone by then.
//
// It knows no downloads and no HTTP, and makes no requests itself.
package split
