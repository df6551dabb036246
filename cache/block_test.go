package cache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlocks(t *testing.T) {
	for _, tc := range []struct {
		size  int64
		count int
		last  int // length of the last block
	}{
		{0, 0, 0},
		{1, 1, 1},
		{BlockSize - 1, 1, BlockSize - 1},
		{BlockSize, 1, BlockSize},
		{BlockSize + 1, 2, 1},
		{5<<30 + 3, 5121, 3},
	} {
		require.Equal(t, tc.count, blockCount(tc.size))
		if tc.count > 0 {
			require.Equal(t, tc.last, blockLen(tc.size, tc.count-1))
			require.Equal(t, tc.count-1, blockOf(tc.size-1))
		}
		sum := int64(0)
		for b := range tc.count {
			require.Equal(t, sum, blockOffset(b))
			sum += int64(blockLen(tc.size, b))
		}
		require.Equal(t, tc.size, sum)
	}
}
