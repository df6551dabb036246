package repository

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	iofs "io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// digest is a hash over all names, times and bytes below dir, and their sum.
func digest(t *testing.T, dir string) (string, int64) {
	t.Helper()
	h, sum := sha256.New(), int64(0)
	root := os.DirFS(dir)
	require.NoError(t, iofs.WalkDir(root, ".", func(p string, d iofs.DirEntry, err error) error {
		require.NoError(t, err)
		io.WriteString(h, p+"\n")
		if d.IsDir() {
			return nil
		}
		b, err := iofs.ReadFile(root, p)
		require.NoError(t, err)
		fi, err := d.Info()
		require.NoError(t, err)
		require.Equal(t, iofs.FileMode(0o600), fi.Mode())
		io.WriteString(h, fi.ModTime().UTC().String())
		h.Write(b)
		sum += int64(len(b))
		return nil
	}))
	return hex.EncodeToString(h.Sum(nil)), sum
}

func TestSamplesAreTheSameEverywhere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, WriteSamples(dir))
	hash, size := digest(t, dir)
	require.Equal(t, "cec0eacde07ddea4da865eb4bb3e296ffe269b596e4654937dd895e1d93bd48a", hash)
	require.Greater(t, size, int64(15<<20))
	require.Less(t, size, int64(25<<20))

	err := WriteSamples(dir)
	require.ErrorIs(t, err, os.ErrExist)
	again, _ := digest(t, dir)
	require.Equal(t, hash, again, "samples that exist are left alone")
}
