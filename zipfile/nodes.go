package zipfile

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// node is one file or directory.
type node struct {
	name   []byte
	parent Node
	flags  uint8
	// dir is a directory's number in the index. The rest is of files only.
	dir    uint32
	size   int64
	packed int64
	header int64
	ticks  int64 // when it was modified, in units of 100 ns since 1970
	crc    uint32
	lead   int32 // how much longer than name the name in the archive is
}

// These are the flags of a node. Those after isInconsistent say how it is stored.
const (
	isDir uint8 = 1 << iota
	isDeflated
	isUnsupported
	isInconsistent
	sameParent
	sameLead
	sameTime
	unpacked // size and packed are the same

	nodeFlags = isDir | isDeflated | isUnsupported | isInconsistent
)

// rawLen returns the length of the name as it is in the archive.
func (e *node) rawLen() int64 { return int64(len(e.name)) + int64(e.lead) }

// end returns where the data of a file ends if its local header has no extra field.
func (e *node) end() int64 { return e.header + localLen + e.rawLen() + e.packed }

// nodes stores nodes in a few bytes each, in the order of their numbers. It stores
// what is new against the node before: neighbours in an archive have most of their
// names, and their directory, in common. To find a node, it keeps the places of the
// first nodes of all groups.
type nodes struct {
	n      int
	groups []uint32 // where in stored each full group is
	stored arena
	open   []byte // the last group, while it is not full
	last   node   // the node before, in the same group
	name   [maxName]byte
}

// groupLen is how many nodes a group has. To find a node, those before it in its
// group are read.
const groupLen = 16

func newNodes(expected int) nodes {
	return nodes{groups: make([]uint32, 0, expected/groupLen+1)}
}

// add stores a node and returns its number.
func (s *nodes) add(e *node) Node {
	if s.n%groupLen == 0 {
		s.closeGroup()
	}
	s.open = e.append(s.open, &s.last)
	if e.flags&isDir == 0 {
		s.last = *e
	}
	s.last.parent = e.parent
	s.last.name = s.name[:copy(s.name[:], e.name)]
	s.n++
	return Node(s.n - 1)
}

// closeGroup stores the last group.
func (s *nodes) closeGroup() {
	if len(s.open) > 0 {
		s.groups = append(s.groups, s.stored.add(s.open))
	}
	s.open, s.last = s.open[:0], node{}
}

// done is called after the last add.
func (s *nodes) done() {
	s.closeGroup()
	s.open = nil
}

func (s *nodes) memory() int64 { return s.stored.len() + int64(cap(s.groups))*4 }

// append appends what differs from the node before.
func (e *node) append(b []byte, before *node) []byte {
	flags := e.flags & nodeFlags
	if e.parent == before.parent {
		flags |= sameParent
	}
	if e.flags&isDir == 0 {
		if e.lead == before.lead {
			flags |= sameLead
		}
		if e.ticks == before.ticks {
			flags |= sameTime
		}
		if e.size == e.packed {
			flags |= unpacked
		}
	}
	shared := prefixLen(e.name, before.name)
	b = append(b, flags, uint8(shared), uint8(len(e.name)-shared))
	b = append(b, e.name[shared:]...)
	if flags&sameParent == 0 {
		b = binary.AppendUvarint(b, uint64(e.parent))
	}
	if flags&isDir != 0 {
		return binary.AppendUvarint(b, uint64(e.dir))
	}
	b = binary.AppendUvarint(b, uint64(e.size))
	if flags&unpacked == 0 {
		b = binary.AppendUvarint(b, uint64(e.packed))
	}
	b = binary.AppendVarint(b, e.header-before.end()) // may wrap, and so does next
	if flags&sameTime == 0 {
		b = binary.AppendVarint(b, e.ticks-before.ticks)
	}
	if flags&sameLead == 0 {
		b = binary.AppendVarint(b, int64(e.lead))
	}
	return binary.LittleEndian.AppendUint32(b, e.crc)
}

// prefixLen returns how many bytes a and b have in common at their beginning.
func prefixLen(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; n-i >= 8; i += 8 {
		if differ := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); differ != 0 {
			return i + bits.TrailingZeros64(differ)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// decoder reads nodes. Going on from one to the next is cheap.
type decoder struct {
	nodes *nodes
	next  int    // the number of the node that rest begins with
	rest  []byte // of the group
	e     node
	file  node // what the next file is compared with
	name  [maxName]byte
}

// reset makes the decoder read again what it has read. It is called when nodes may
// have been added.
func (c *decoder) reset() { c.next = 0 }

// at returns node n, whose name is valid until the next call. n must exist.
func (c *decoder) at(n Node) *node {
	if c.next == int(n)+1 {
		return &c.e
	}
	if group := int(n) / groupLen; c.next > int(n) || c.next <= group*groupLen {
		c.next, c.e, c.file = group*groupLen, node{}, node{}
		if group == len(c.nodes.groups) {
			c.rest = c.nodes.open
		} else {
			c.rest = c.nodes.stored.from(c.nodes.groups[group])
		}
	}
	for c.next <= int(n) {
		c.read()
	}
	return &c.e
}

// read reads the node that rest begins with.
func (c *decoder) read() {
	b := c.rest
	flags, shared, more := b[0], int(b[1]), int(b[2])
	b = b[3:]
	end := c.file.header + localLen + int64(len(c.e.name)) + int64(c.file.lead) + c.file.packed
	copy(c.name[shared:], b[:more])
	e := node{name: c.name[:shared+more], parent: c.e.parent, flags: flags & nodeFlags}
	b = b[more:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b)
		b = b[n:]
		return v
	}
	if flags&sameParent == 0 {
		e.parent = Node(number())
	}
	if flags&isDir != 0 {
		e.dir = uint32(number())
	} else {
		e.size = int64(number())
		e.packed = e.size
		if flags&unpacked == 0 {
			e.packed = int64(number())
		}
		e.header = end + signed()
		e.ticks, e.lead = c.file.ticks, c.file.lead
		if flags&sameTime == 0 {
			e.ticks += signed()
		}
		if flags&sameLead == 0 {
			e.lead = int32(signed())
		}
		e.crc = binary.LittleEndian.Uint32(b)
		b = b[4:]
		c.file = e
	}
	c.rest, c.e = b, e
	c.next++
}

// never marks a directory that has no entry of its own in the archive.
const never = math.MinInt64
