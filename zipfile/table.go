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

// slot returns where the node with that name is, or belongs.
func (t *table) slot(x *Index, dir Node, name []byte, h uint64) (i int, mark uint32) {
	i, mark = t.start(h)
	for ; t.slots[i] != 0; i = (i + 1) % len(t.slots) {
		if v := t.slots[i]; v&^(MaxNodes-1) == mark {
			n := Node(v & (MaxNodes - 1))
			c := x.decoder()
			if e := c.at(n); e.parent == dir && string(x.name(n, e)) == string(name) {
				break
			}
		}
	}
	return i, mark
}

// get returns the node with that name, or Root.
func (t *table) get(x *Index, dir Node, name []byte) Node {
	i, _ := t.slot(x, dir, name, t.hash(dir, name))
	return Node(t.slots[i] & (MaxNodes - 1))
}

// put enters a node. It replaces a node with the same name.
func (t *table) put(x *Index, dir Node, name []byte, n Node) {
	if (t.used+1)*4 > len(t.slots)*3 {
		t.grow(x)
	}
	i, mark := t.slot(x, dir, name, t.hash(dir, name))
	if t.slots[i] == 0 {
		t.used++
	}
	t.slots[i] = mark | uint32(n)
}

func (t *table) grow(x *Index) {
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	for _, v := range old {
		if v == 0 {
			continue
		}
		n := Node(v & (MaxNodes - 1))
		c := x.decoder()
		e := c.at(n)
		i, mark := t.start(t.hash(e.parent, x.name(n, e)))
		for t.slots[i] != 0 {
			i = (i + 1) % len(t.slots)
		}
		t.slots[i] = mark | uint32(n)
	}
}
