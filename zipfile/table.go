package zipfile

import (
	"hash/maphash"
	"math/bits"
)

// table finds a node by its directory and name. It uses open addressing, at four
// bytes a place: a node, and a part of its hash, so that few nodes are compared in
// vain. Each table has its own seed, so nobody can choose names that collide.
type table struct {
	seed  maphash.Seed
	slots []uint32 // 0 is free: the root is in no directory
	used  int
}

const markMask = 1<<(32-nodeBits) - 1

// newTable returns a table that has room for some directories besides the expected
// entries.
func newTable(expected int) *table {
	return &table{seed: maphash.MakeSeed(), slots: make([]uint32, (expected+expected/64)/3*4+64)}
}

func (t *table) hash(dir Node, name []byte) uint64 {
	return maphash.Bytes(t.seed, name) ^ uint64(dir)*0x9e3779b97f4a7c15
}

// start returns where the search for a hash begins, and how its slot is marked.
func (t *table) start(h uint64) (i int, mark uint32) {
	hi, _ := bits.Mul64(h, uint64(len(t.slots)))
	return int(hi), uint32(h&markMask) << nodeBits
}

// place is where in a table the node with some name is, or belongs. It holds until
// something is put into the table.
type place struct {
	i    int
	mark uint32
}

// find returns the place of the node with that name, and the node, or Root. It uses c
// to read nodes.
func (t *table) find(x *Index, dir Node, name []byte, c *decoder) (place, Node) {
	var p place
	for p.i, p.mark = t.start(t.hash(dir, name)); t.slots[p.i] != 0; p.i = t.after(p.i) {
		if v := t.slots[p.i]; v&^(MaxNodes-1) == p.mark {
			n := Node(v & (MaxNodes - 1))
			if e := c.at(n); e.parent == dir && string(x.name(n, e)) == string(name) {
				return p, n
			}
		}
	}
	return p, Root
}

// after returns the index after i. The last one is followed by the first.
func (t *table) after(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// put enters a node at the place of its name. It replaces a node with the same name.
func (t *table) put(p place, n Node) {
	if t.slots[p.i] == 0 {
		t.used++
	}
	t.slots[p.i] = p.mark | uint32(n)
}

// reserve makes room for one more node.
func (t *table) reserve(x *Index, c *decoder) {
	if (t.used+1)*4 <= len(t.slots)*3 {
		return
	}
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	for _, v := range old {
		if v == 0 {
			continue
		}
		n := Node(v & (MaxNodes - 1))
		e := c.at(n)
		i, mark := t.start(t.hash(e.parent, x.name(n, e)))
		for t.slots[i] != 0 {
			i = t.after(i)
		}
		t.slots[i] = mark | uint32(n)
	}
}
