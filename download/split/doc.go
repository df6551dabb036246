// Package split plans how to get more out of a server than it zips at once: it walks
// what is asked for, adds up sizes, and cuts it into pieces that the server accepts.
//
// The pieces are in the order of the one zip that the server would have made, and
// each is of one place in it: what is asked for together has the same path in front
// of all its entries. Nobody has to tell whose entry of a part's zip is whose, be they
// twins, renamed or gone by then.
//
// It knows no downloads and no HTTP, and asks for nothing itself.
package split
