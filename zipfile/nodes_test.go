package zipfile

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is stored is what comes out, in whatever order it is read, while nodes are being
// added and afterwards.
func TestNodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	number := func(few int64) int64 {
		switch rng.IntN(8) {
		case 0:
			return 0
		case 1:
			return math.MaxInt64 / 2
		case 2:
			return rng.Int64() / 2
		}
		return rng.Int64N(few)
	}
	s := newNodes(10)
	var want []node
	same := func(n Node, e *node) {
		t.Helper()
		require.Equal(t, want[n], node{append([]byte{}, e.name...), e.parent, e.flags, e.dir, e.size, e.packed, e.header, e.ticks, e.crc, e.lead})
	}
	for i := range 5000 {
		e := node{name: []byte(strings.Repeat("ab", rng.IntN(127)) + string(rune('a'+rng.IntN(26)))),
			parent: Node(rng.IntN(4))}
		if rng.IntN(5) == 0 {
			e.flags, e.dir = isDir, uint32(i)
		} else {
			e.flags = uint8(rng.IntN(16)) &^ isDir
			e.size, e.packed, e.header = number(1<<20), number(1<<20), number(1<<40)
			if rng.IntN(2) == 0 {
				e.packed = e.size
			}
			later, earlier := number(1<<50), number(1<<50)
			e.ticks, e.crc, e.lead = later-earlier, rng.Uint32(), int32(rng.IntN(3)*1000-200)
		}
		require.Equal(t, Node(i), s.add(&e))
		want = append(want, e)
		c := decoder{nodes: &s}
		n := Node(rng.IntN(i + 1))
		same(n, c.at(n))
		same(Node(i), c.at(Node(i)))
	}
	s.done()
	c := decoder{nodes: &s}
	for n := range want {
		same(Node(n), c.at(Node(n)))
		same(Node(n), c.at(Node(n)))
	}
	for range 5000 {
		n := Node(rng.IntN(len(want)))
		same(n, c.at(n))
	}
}
