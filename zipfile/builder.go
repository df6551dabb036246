package zipfile

import (
	"bytes"
	"context"
	"time"
)

// maxDepth is how deeply directories may be nested.
const maxDepth = 255

// builder makes an Index from records, in their order.
type builder struct {
	*Index
	zone *time.Location
	base int64

	path, part []byte // scratch space
	// lastDir is the path of the directory that the last entry was in.
	lastDir     []byte
	lastDirNode Node
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
	x := &Index{nodes: make([]node, 0, expected+expected/64+16), table: newTable(expected), limit: e.offset}
	b := &builder{Index: x, zone: zone, base: e.base, ordered: true}
	x.nodes = append(x.nodes, node{flags: isDir, modified: noTime, name: x.names.add(nil)})
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
	i := bytes.LastIndexByte(path, '/') + 1
	parent, err := b.parents(path[:i])
	if err != nil {
		return err
	}
	if dir {
		n := parent
		if last := path[i:]; len(last) > 0 && string(last) != "." {
			if n, err = b.directory(parent, last); err != nil {
				return err
			}
		}
		if b.nodes[n].modified == noTime {
			b.nodes[n].modified = rec.modified(b.zone)
		}
		return nil
	}
	return b.file(rec, parent, path[i:])
}

// parents returns the directory with that path, which ends in a slash or is empty. It
// makes the directories that are missing.
func (b *builder) parents(path []byte) (Node, error) {
	if bytes.Equal(path, b.lastDir) {
		return b.lastDirNode, nil
	}
	n, depth := Root, 0
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
		if n, err = b.directory(n, part); err != nil {
			return 0, err
		}
	}
	b.lastDir, b.lastDirNode = append(b.lastDir[:0], path...), n
	return n, nil
}

// directory returns the directory with that name in parent. If a file has the name,
// the file must give it up.
func (b *builder) directory(parent Node, part []byte) (Node, error) {
	name := b.clean(part)
	there := b.table.slots[b.table.slot(b.Index, parent, name)]
	if there != Root && b.IsDir(there) {
		return there, nil
	}
	n, err := b.append(parent, name, node{flags: isDir, modified: noTime})
	if err != nil {
		return 0, err
	}
	if there != Root {
		b.taken = append(b.taken, there)
	}
	b.table.put(b.Index, n)
	return n, nil
}

// file adds a file.
func (b *builder) file(rec *record, parent Node, part []byte) error {
	e := node{
		size: rec.size, packed: rec.packed, header: rec.header + b.base,
		modified: rec.modified(b.zone), crc: rec.crc, rawLen: uint16(len(rec.name)),
	}
	switch {
	case !rec.readable():
		e.flags |= isUnsupported
	case !rec.consistent():
		e.flags |= isInconsistent
	case rec.method == methodDeflated:
		e.flags |= isDeflated
	}
	end := e.header + localLen + int64(e.rawLen)
	if e.header < 0 || end > b.limit || e.packed > b.limit-end {
		return formatf("an entry lies outside the archive")
	}
	b.ordered = b.ordered && e.header >= b.dataEnd
	b.dataEnd = end + e.packed
	b.bytes += e.size

	name := b.clean(part)
	there := b.table.slots[b.table.slot(b.Index, parent, name)]
	n, err := b.append(parent, name, e)
	switch {
	case err != nil:
		return err
	case there != Root:
		b.taken = append(b.taken, n)
	default:
		b.table.put(b.Index, n)
	}
	return nil
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

// append makes a node at the end of parent.
func (b *builder) append(parent Node, name []byte, e node) (Node, error) {
	if len(b.nodes) == MaxNodes {
		return 0, formatf("it has more than %d files and directories", MaxNodes)
	}
	n := Node(len(b.nodes))
	e.name, e.nameLen, e.parent = b.names.add(name), uint8(len(name)), parent
	b.nodes = append(b.nodes, e)
	dir := &b.nodes[parent]
	if dir.packed == 0 {
		dir.packed = int64(n)
	} else {
		b.nodes[dir.header].next = n
	}
	dir.header = int64(n)
	return n, nil
}

// nameTaken gives the files whose name is taken another one, such as "name (1).ext".
// It runs last, so it gives no file a name that an entry has.
func (b *builder) nameTaken() {
	type key struct {
		parent Node
		name   string
	}
	var used map[key]uint64 // the last number; searching from 1 would be quadratic
	if len(b.taken) > 0 {
		used = make(map[key]uint64)
	}
	for _, n := range b.taken {
		parent := b.nodes[n].parent
		m := number(b.name(n))
		k := key{parent, string(m.append(nil, 0))}
		for {
			used[k]++
			b.part = m.append(b.part[:0], used[k])
			if b.table.slots[b.table.slot(b.Index, parent, b.part)] == Root {
				break
			}
		}
		b.nodes[n].name, b.nodes[n].nameLen = b.names.add(b.part), uint8(len(b.part))
		b.table.put(b.Index, n)
	}
}
