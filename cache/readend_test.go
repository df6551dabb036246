package cache

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestOneReadIsOneRequest: a read that goes over several blocks in the middle of an
// archive asks for all of them at once.
// Proves S-135.
func TestOneReadIsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{}
		c := openCache(t, t.TempDir(), src)
		a := info("one", 40*BlockSize)
		h := openArchive(t, c, a)
		n := BlockSize + 200
		require.NoError(t, checkRead(t.Context(), h, a, make([]byte, n), make([]byte, n), 20*BlockSize-100))
		require.Len(t, src.requests, 1)
	})
}
