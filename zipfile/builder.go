package zipfile

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"
)

// maxDepth is how deeply directories may be nested.
const maxDepth = 255

// builder makes an Index from records, in their order.
type builder struct {
	*Index
	zone *time.Location
	base int64

	path, part []byte  // scratch space
	old        decoder // reads nodes that were added before
	// lastPath is the path of the directory that the last entry was in, lastDir its
	// number.
	lastPath []byte
	lastDir  uint32
	// taken are the files whose name belongs to another node.
	taken []Node
	// ordered says that each file begins after the one before it.
	ordered bool
	dataEnd int64
}

// ReadIndex reads the directory of the archive of size bytes in src. Times in it that
// have no zone are taken to be in zone.
func ReadIndex(ctx context.Context, src Source, size int64, zone *time.Location) (*Index, error) {
	e, err := findEnd(ctx, src, size)
	if err != nil {
		return nil, err
	}
	expected := int(e.records)
	x := &Index{nodes: newNodes(expected), table: newTable(expected), limit: e.offset}
	b := &builder{Index: x, zone: zone, base: e.base, ordered: true, old: x.decoder()}
	x.nodes.add(&node{flags: isDir})
	x.dirs = append(x.dirs, directory{ticks: never})
	var rec record
	for records := newRecords(ctx, src, e); ; x.entries++ {
		more, err := records.next(&rec)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if x.entries == maxEntries {
			return nil, formatf("it has more than %d entries", maxEntries)
		}
		if err := b.add(&rec); err != nil {
			return nil, err
		}
	}
	// Without Zip64 the number is often the lower bits of a larger one.
	if told := uint64(x.entries); told != e.records && (e.zip64 || uint16(told) != uint16(e.records)) {
		return nil, formatf("its directory is said to have %d entries and has %d", e.records, told)
	}
	x.nodes.done()
	slices.SortFunc(x.jumps, func(i, j jump) int { return cmp.Compare(i.from, j.from) })
	b.nameTaken()
	b.findOverlaps()
	return x, nil
}

// add adds one record.
func (b *builder) add(rec *record) error {
	b.path = relative(rec.appendPath(b.path[:0]))
	path, dir := b.path, false
	if i := len(rec.name) - 1; i >= 0 && rec.name[i] == '/' {
		path, dir = bytes.TrimRight(path, "/"), true
	}
	i := len(b.lastPath) // most entries are in the directory that the last one was in
	if !bytes.HasPrefix(path, b.lastPath) || bytes.IndexByte(path[i:], '/') >= 0 {
		i = bytes.LastIndexByte(path, '/') + 1
	}
	parent, err := b.parents(path[:i])
	if err != nil {
		return err
	}
	if dir {
		d := parent
		if last := path[i:]; len(last) > 0 && string(last) != "." {
			if d, err = b.directory(parent, last); err != nil {
				return err
			}
		}
		if b.dirs[d].ticks == never {
			b.dirs[d].ticks = rec.modified(b.zone)
		}
		return nil
	}
	return b.file(rec, parent, path[i:])
}

// parents returns the number of the directory with that path, which ends in a slash
// or is empty. It makes the directories that are missing.
func (b *builder) parents(path []byte) (uint32, error) {
	if bytes.Equal(path, b.lastPath) {
		return b.lastDir, nil
	}
	d, depth := uint32(0), 0
	for rest := path; len(rest) > 0; {
		i := bytes.IndexByte(rest, '/')
		part := rest[:i]
		rest = rest[i+1:]
		if len(part) == 0 || string(part) == "." {
			continue // the same directory
		}
		if depth++; depth > maxDepth {
			return 0, formatf("it has directories that are nested more than %d deep", maxDepth)
		}
		var err error
		if d, err = b.directory(d, part); err != nil {
			return 0, err
		}
	}
	b.lastPath, b.lastDir = append(b.lastPath[:0], path...), d
	return d, nil
}

// directory returns the number of the directory with that name in parent. If a file
// has the name, the file must give it up.
func (b *builder) directory(parent uint32, part []byte) (uint32, error) {
	name, in := b.clean(part), b.dirs[parent].node
	at, there := b.find(in, name)
	if there != Root {
		if e := b.old.at(there); e.flags&isDir != 0 {
			return e.dir, nil
		}
	}
	d := uint32(len(b.dirs))
	n, err := b.append(parent, &node{name: name, flags: isDir, dir: d})
	if err != nil {
		return 0, err
	}
	b.dirs = append(b.dirs, directory{node: n, ticks: never})
	if there != Root {
		b.taken = append(b.taken, there)
	}
	b.table.put(at, n)
	return d, nil
}

// file adds a file.
func (b *builder) file(rec *record, parent uint32, part []byte) error {
	name, in := b.clean(part), b.dirs[parent].node
	e := node{
		name: name, lead: int32(len(rec.name) - len(name)),
		size: rec.size, packed: rec.packed, header: rec.header + b.base,
		ticks: rec.modified(b.zone), crc: rec.crc,
	}
	switch {
	case !rec.readable():
		e.flags |= isUnsupported
	case !rec.consistent():
		e.flags |= isInconsistent
	case rec.method == methodDeflated:
		e.flags |= isDeflated
	}
	end := e.header + localLen + e.rawLen()
	if e.header < 0 || end > b.limit || e.packed > b.limit-end {
		return formatf("an entry lies outside the archive")
	}
	b.ordered = b.ordered && e.header >= b.dataEnd
	b.dataEnd = end + e.packed
	b.bytes += e.size

	at, there := b.find(in, name)
	n, err := b.append(parent, &e)
	switch {
	case err != nil:
		return err
	case there != Root:
		b.taken = append(b.taken, n)
	default:
		b.table.put(at, n)
	}
	return nil
}

// find returns the place for a name in the table, and the node that has it, or Root.
func (b *builder) find(dir Node, name []byte) (place, Node) {
	b.old.reset() // nodes may have been added
	b.table.reserve(b.Index, &b.old)
	return b.table.find(b.Index, dir, name, &b.old)
}

// clean returns the name that is shown for a part of a path. It is valid until the
// next call.
func (b *builder) clean(part []byte) []byte {
	if plain(part) {
		return part
	}
	b.part = safe(b.part[:0], part)
	return b.part
}

// append makes a node at the end of the directory with number parent.
func (b *builder) append(parent uint32, e *node) (Node, error) {
	if b.nodes.n == MaxNodes {
		return 0, formatf("it has more than %d files and directories", MaxNodes)
	}
	dir := &b.dirs[parent]
	e.parent = dir.node
	n := b.nodes.add(e)
	switch {
	case dir.first == Root:
		dir.first = n
	case dir.last+1 != n:
		b.jumps = append(b.jumps, jump{dir.last, n})
	}
	dir.last = n
	return n, nil
}

// nameTaken gives the files whose name is taken another one, such as "name (1).ext".
// It runs last, so it gives no file a name that an entry has.
func (b *builder) nameTaken() {
	if len(b.taken) == 0 {
		return
	}
	b.renamed = make([]renaming, len(b.taken))
	for i, n := range b.taken {
		b.renamed[i] = renaming{n, notYet}
	}
	slices.SortFunc(b.renamed, func(r, s renaming) int { return cmp.Compare(r.node, s.node) })
	type key struct {
		parent Node
		name   string
	}
	used := make(map[key]uint64) // the last number; searching from 1 would be quadratic
	for _, n := range b.taken {
		e := b.node(n)
		m := number(e.name)
		k := key{e.parent, string(m.append(nil, 0))}
		var at place
		for {
			used[k]++
			b.part = m.append(append(b.part[:0], 0), used[k])
			var there Node
			if at, there = b.find(e.parent, b.part[1:]); there == Root {
				break
			}
		}
		b.part[0] = uint8(len(b.part) - 1)
		i, _ := b.renaming(n)
		b.renamed[i].name = b.names.add(b.part)
		b.table.put(at, n)
	}
}
