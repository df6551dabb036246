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
	type extent struct {
		start, end int64 // the local header's extra field is not known: it may end later
		node       Node
	}
	files := make([]extent, 0, b.nodes.n)
	c := b.decoder()
	for n := range Node(b.nodes.n) {
		if e := c.at(n); e.flags&isDir == 0 {
			files = append(files, extent{e.header, e.end(), n})
		}
	}
	slices.SortFunc(files, func(f, g extent) int {
		return cmp.Or(cmp.Compare(f.start, g.start), cmp.Compare(f.node, g.node))
	})
	var last extent // the one that ends last of all so far
	for _, f := range files {
		if f.start < last.end {
			if b.overlap == nil {
				b.overlap = make(nodeSet, b.nodes.n/64+1)
			}
			b.overlap.add(f.node)
			b.overlap.add(last.node)
		}
		if f.end > last.end {
			last = f
		}
	}
}
