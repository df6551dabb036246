package zipfile

import (
	"cmp"
	"slices"
	"time"
	"unsafe"
)

// Node is a file or a directory of an [Index]. Numbers follow the order of the
// archive's directory and are the same whenever it is read.
type Node uint32

// Root is the directory that holds everything else.
const Root Node = 0

// MaxNodes is greater than the number of any node.
const MaxNodes = 1 << nodeBits

const nodeBits = 23

// Index is the tree of an archive's entries. It never changes and is safe for
// concurrent use.
type Index struct {
	nodes   nodes
	dirs    []directory // by their numbers
	jumps   []jump      // in order
	table   *table
	entries int
	bytes   int64 // of all files
	limit   int64 // where entries end, and the directory begins

	renamed []renaming // in order
	names   arena      // of renamed
	overlap nodeSet    // the files that share bytes
}

// directory is what only directories have.
type directory struct {
	node        Node
	first, last Node  // in it; Root if there are none
	ticks       int64 // when it was modified, or never
}

// jump says which node follows in a directory after one that is not right before it.
type jump struct{ from, to Node }

// renaming is another name for a file, because its name was taken. The name is
// preceded by its length.
type renaming struct {
	node Node
	name uint32
}

// nodeSet is a set of nodes.
type nodeSet []uint64

func (b nodeSet) has(n Node) bool { return int(n)/64 < len(b) && b[n/64]>>(n%64)&1 != 0 }

func (b nodeSet) add(n Node) { b[n/64] |= 1 << (n % 64) }

// Info is what is known about a node without reading it.
type Info struct {
	Name string
	Dir  bool
	Size int64
	// Modified is zero for a directory that has no entry in the archive.
	Modified time.Time
}

// node returns a copy of node n, with the name that it had before it was renamed.
func (x *Index) node(n Node) node {
	c := x.decoder()
	e := *c.at(n)
	e.name = slices.Clone(e.name)
	return e
}

func (x *Index) decoder() decoder { return decoder{nodes: &x.nodes} }

// name returns the name of node n, which is e.
func (x *Index) name(n Node, e *node) []byte {
	if len(x.renamed) > 0 {
		if i, ok := x.renaming(n); ok && x.renamed[i].name != notYet {
			b := x.names.from(x.renamed[i].name)
			return b[1 : 1+b[0]]
		}
	}
	return e.name
}

// notYet is the name of a file that still has to get another one.
const notYet = 1<<32 - 1

func (x *Index) renaming(n Node) (int, bool) {
	return slices.BinarySearchFunc(x.renamed, n, func(r renaming, n Node) int { return cmp.Compare(r.node, n) })
}

// Entries returns how many entries the archive's directory has.
func (x *Index) Entries() int { return x.entries }

// Nodes returns how many files and directories there are, the root included.
func (x *Index) Nodes() int { return x.nodes.n }

// Bytes returns the total size of all files, unpacked.
func (x *Index) Bytes() int64 { return x.bytes }

// Memory returns how many bytes the index takes.
func (x *Index) Memory() int64 {
	return x.nodes.memory() + x.names.len() + int64(len(x.overlap))*8 + int64(len(x.table.slots))*4 +
		int64(cap(x.dirs))*int64(unsafe.Sizeof(directory{})) +
		int64(cap(x.jumps))*int64(unsafe.Sizeof(jump{})) +
		int64(cap(x.renamed))*int64(unsafe.Sizeof(renaming{}))
}

// Info returns what is known about a node.
func (x *Index) Info(n Node) Info {
	c := x.decoder()
	return x.info(n, c.at(n))
}

// info returns what is known about node n, which is e.
func (x *Index) info(n Node, e *node) Info {
	i := Info{Name: string(x.name(n, e)), Dir: e.flags&isDir != 0}
	ticks := e.ticks
	if i.Dir {
		ticks = x.dirs[e.dir].ticks
	} else {
		i.Size = e.size
	}
	if ticks != never {
		i.Modified = time.Unix(ticks/1e7, ticks%1e7*100)
	}
	return i
}

// Parent returns the directory that a node is in. The root's parent is the root.
func (x *Index) Parent(n Node) Node {
	c := x.decoder()
	return c.at(n).parent
}

// IsDir reports whether a node is a directory.
func (x *Index) IsDir(n Node) bool {
	_, ok := x.dirOf(n)
	return ok
}

// dirOf returns a directory's number.
func (x *Index) dirOf(n Node) (uint32, bool) {
	c := x.decoder()
	e := c.at(n)
	return e.dir, e.flags&isDir != 0
}

// Lookup finds a node by its name.
func (x *Index) Lookup(dir Node, name string) (Node, bool) {
	if len(name) == 0 || len(name) > maxName || !x.IsDir(dir) {
		return 0, false
	}
	c := x.decoder()
	_, n := x.table.find(x, dir, []byte(name), &c)
	return n, n != Root
}

// First returns the first node in a directory. [Index.Next] returns the one that
// follows n in the same directory. Both return false if there is none. Their numbers
// grow.
func (x *Index) First(dir Node) (Node, bool) {
	d, ok := x.dirOf(dir)
	if !ok {
		return 0, false
	}
	n := x.dirs[d].first
	return n, n != Root
}

// Next is described at [Index.First].
func (x *Index) Next(n Node) (Node, bool) {
	c := x.decoder()
	return x.next(n, &c)
}

func (x *Index) next(n Node, c *decoder) (Node, bool) {
	dir := c.at(n).parent
	if int(n)+1 < x.nodes.n && c.at(n+1).parent == dir {
		return n + 1, true
	}
	i, ok := slices.BinarySearchFunc(x.jumps, n, func(j jump, n Node) int { return cmp.Compare(j.from, n) })
	if !ok {
		return Root, false
	}
	return x.jumps[i].to, true
}

// List reads nodes of an [Index] one after the other, which makes going on to the next
// cheap. It is not safe for concurrent use.
type List struct {
	index *Index
	at    decoder
}

// List returns a List of x's nodes.
func (x *Index) List() *List { return &List{x, x.decoder()} }

// Info does what [Index.Info] does.
func (l *List) Info(n Node) Info { return l.index.info(n, l.at.at(n)) }

// First does what [Index.First] does.
func (l *List) First(dir Node) (Node, bool) { return l.index.First(dir) }

// Next does what [Index.Next] does.
func (l *List) Next(n Node) (Node, bool) { return l.index.next(n, &l.at) }
