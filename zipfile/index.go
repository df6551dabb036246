package zipfile

import (
	"time"
	"unsafe"
)

// Node is a file or a directory of an [Index]. Numbers follow the order of the
// archive's directory and are the same whenever it is read.
type Node uint32

// Root is the directory that holds everything else.
const Root Node = 0

// MaxNodes is greater than the number of any node.
const MaxNodes = 1 << 23

// Index is the tree of an archive's entries. It never changes and is safe for
// concurrent use.
type Index struct {
	nodes   []node
	names   arena
	table   *table
	entries int
	bytes   int64 // of all files
	limit   int64 // where entries end, and the directory begins
}

// node is one file or directory. A directory has no data, so the fields that locate a
// file's data locate a directory's nodes instead.
type node struct {
	size     int64
	packed   int64 // of a directory: the first node in it
	header   int64 // of a directory: the last node in it
	modified int64 // nanoseconds since 1970, or noTime
	name     uint32
	parent   Node
	next     Node // in the same directory; Root after the last
	crc      uint32
	rawLen   uint16 // of the name as it is in the archive
	nameLen  uint8
	flags    uint8
}

const (
	isDir uint8 = 1 << iota
	isDeflated
	isUnsupported
	isOverlapping
	isInconsistent
)

// Info is what is known about a node without reading it.
type Info struct {
	Name string
	Dir  bool
	Size int64
	// Modified is zero for a directory that has no entry in the archive.
	Modified time.Time
}

func (x *Index) name(n Node) []byte { return x.names.get(x.nodes[n].name, x.nodes[n].nameLen) }

// Entries returns how many entries the archive's directory has.
func (x *Index) Entries() int { return x.entries }

// Nodes returns how many files and directories there are, the root included.
func (x *Index) Nodes() int { return len(x.nodes) }

// Bytes returns the total size of all files, unpacked.
func (x *Index) Bytes() int64 { return x.bytes }

// Memory returns how many bytes the index takes.
func (x *Index) Memory() int64 {
	return int64(cap(x.nodes))*int64(unsafe.Sizeof(node{})) + x.names.len() + int64(len(x.table.slots))*4
}

// Info returns what is known about a node.
func (x *Index) Info(n Node) Info {
	e := &x.nodes[n]
	i := Info{Name: string(x.name(n)), Dir: e.flags&isDir != 0}
	if !i.Dir {
		i.Size = e.size
	}
	if e.modified != noTime {
		i.Modified = time.Unix(0, e.modified)
	}
	return i
}

// Parent returns the directory that a node is in. The root's parent is the root.
func (x *Index) Parent(n Node) Node { return x.nodes[n].parent }

// IsDir reports whether a node is a directory.
func (x *Index) IsDir(n Node) bool { return x.nodes[n].flags&isDir != 0 }

// Lookup finds a node by its name.
func (x *Index) Lookup(dir Node, name string) (Node, bool) {
	if len(name) == 0 || len(name) > maxName || !x.IsDir(dir) {
		return 0, false
	}
	n := x.table.slots[x.table.slot(x, dir, []byte(name))]
	return n, n != Root
}

// First returns the first node in a directory. [Index.Next] returns the one that
// follows n in the same directory. Both return false if there is none. Their numbers
// grow.
func (x *Index) First(dir Node) (Node, bool) {
	if !x.IsDir(dir) {
		return 0, false
	}
	n := Node(x.nodes[dir].packed)
	return n, n != Root
}

// Next is described at [Index.First].
func (x *Index) Next(n Node) (Node, bool) {
	n = x.nodes[n].next
	return n, n != Root
}
