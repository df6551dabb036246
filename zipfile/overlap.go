package zipfile

import (
	"cmp"
	"slices"
)

// findOverlaps marks the files that share bytes of the archive. Programs make such
// zips only to let a small one unpack to a huge one.
func (b *builder) findOverlaps() {
	if b.ordered {
		return
	}
	files := make([]Node, 0, len(b.nodes))
	for n := range b.nodes {
		if !b.IsDir(Node(n)) {
			files = append(files, Node(n))
		}
	}
	slices.SortFunc(files, func(m, n Node) int {
		return cmp.Or(cmp.Compare(b.nodes[m].header, b.nodes[n].header), cmp.Compare(m, n))
	})
	var end int64  // of the data of all files so far
	var last *node // the file that ends there
	for _, n := range files {
		e := &b.nodes[n]
		if e.header < end {
			e.flags |= isOverlapping
			last.flags |= isOverlapping
		}
		// The local header's extra field is not known, so the file may end a little
		// later.
		if after := e.header + localLen + int64(e.rawLen) + e.packed; after > end {
			end, last = after, e
		}
	}
}
