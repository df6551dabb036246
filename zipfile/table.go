package zipfile

import "hash/maphash"

// table finds a node by its directory and name. It uses open addressing, at four
// bytes a place. Each table has its own seed, so nobody can choose names that
// collide.
type table struct {
	seed  maphash.Seed
	slots []Node // 0 is free: the root is in no directory
	used  int
}

func newTable(expected int) *table {
	size := 16
	for size*3/4 < expected {
		size *= 2
	}
	return &table{seed: maphash.MakeSeed(), slots: make([]Node, size)}
}

// slot returns where the node with that name is, or belongs.
func (t *table) slot(x *Index, dir Node, name []byte) int {
	h := maphash.Bytes(t.seed, name) ^ uint64(dir)*0x9e3779b97f4a7c15
	mask := len(t.slots) - 1
	for i := int(h>>32^h) & mask; ; i = (i + 1) & mask {
		n := t.slots[i]
		if n == Root || x.nodes[n].parent == dir && string(x.name(n)) == string(name) {
			return i
		}
	}
}

// put enters a node. It replaces a node with the same name.
func (t *table) put(x *Index, n Node) {
	if (t.used+1)*4 > len(t.slots)*3 {
		old := t.slots
		t.slots, t.used = make([]Node, 2*len(old)), 0
		for _, o := range old {
			if o != Root {
				t.put(x, o)
			}
		}
	}
	i := t.slot(x, x.nodes[n].parent, x.name(n))
	if t.slots[i] == Root {
		t.used++
	}
	t.slots[i] = n
}
