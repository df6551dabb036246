package share

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestLayout(t *testing.T) {
	for blocks := 1; blocks < 100; blocks++ {
		for _, size := range []int64{int64(blocks) * blockSize, int64(blocks)*blockSize - 1, int64(blocks-1)*blockSize + 1} {
			l := newLayout(size)
			require.Equal(t, blocks, l.blocks)
			next := 0
			for k := range l.pieces {
				from, to := l.span(k)
				require.Equal(t, next, from, "size %d, piece %d", size, k)
				require.Greater(t, to, from)
				require.LessOrEqual(t, to-from, pieceBlocks)
				for b := from; b < to; b++ {
					require.Equal(t, k, l.piece(b))
				}
				next = to
			}
			require.Equal(t, blocks, next)
			order := l.order()
			if blocks > pieceBlocks {
				require.Equal(t, l.pieces-1, order[0], "the tail is not the first")
			}
			slices.Sort(order)
			for k := range l.pieces {
				require.Equal(t, k, order[k])
			}
		}
	}
}

func TestHeader(t *testing.T) {
	h := header{account: Account("x"), id: download.ID(strings.Repeat("i", 128)), size: 1 << 40, modTime: 1700000000, piece: 65535,
		sums: []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}
	p := h.append(nil)
	require.Len(t, p, headerLen)
	got, err := decodeHeader(p)
	require.NoError(t, err)
	assert.Equal(t, h, got)
	for at := range p {
		p[at] ^= 0x10
		_, err := decodeHeader(p)
		require.ErrorIs(t, err, errDamaged, "byte %d", at)
		p[at] ^= 0x10
	}
}

func FuzzHeader(f *testing.F) {
	h := header{account: Account("x"), id: "a", size: 1, sums: []uint32{1}}
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= headerLen { // with the right sum it gets further
			p = p[:headerLen]
			copy(p, magic)
			binary.BigEndian.PutUint32(p[headerLen-4:], sum(p[:headerLen-4]))
		}
		h, err := decodeHeader(p)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.LessOrEqual(t, len(h.sums), pieceBlocks)
	})
}

func TestManifest(t *testing.T) {
	m := manifest{V: manifestVersion, Account: Account("x"), ID: "a", Name: "a \"b\"\n.zip", Size: 5, ModifiedAt: time.Unix(1, 0).UTC(), TotalFiles: 3}
	p, err := m.encode()
	require.NoError(t, err)
	got, err := decodeManifest(p, m.Account, "a")
	require.NoError(t, err)
	assert.Equal(t, m, got)
	for at := range p {
		p[at] ^= 1
		_, err := decodeManifest(p, m.Account, "a")
		require.ErrorIs(t, err, errDamaged, "byte %d", at)
		p[at] ^= 1
	}
}
