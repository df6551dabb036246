package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

func TestListVerifyClear(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, &fakeSource{})
	for i := range int64(3) {
		a := info(fmt.Sprintf("admin-%d", i), 8*BlockSize+i)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size/(i+1))
		require.NoError(t, h.Close())
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, c.Close())

	c = openCache(t, dir, nil)
	list, err := c.List()
	require.NoError(t, err)
	require.Len(t, list, 3)
	for i, l := range list {
		require.Equal(t, download.ID(fmt.Sprintf("admin-%d", i)), l.ID)
		require.Equal(t, fmt.Sprintf("admin-%d.zip", i), l.Name)
		require.EqualValues(t, 8*BlockSize+i, l.Size)
		require.True(t, l.ModifiedAt.Equal(info("", 0).ModifiedAt))
		require.WithinDuration(t, time.Now(), l.UsedAt, time.Minute)
		require.GreaterOrEqual(t, l.Cached, l.Size/int64(i+1)-BlockSize)
	}
	require.True(t, list[0].Complete())

	res, err := c.Verify(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, res.Archives)
	require.Equal(t, list[0].Cached+list[1].Cached+list[2].Cached, res.Bytes)
	require.Empty(t, res.Damaged)

	f, err := os.OpenFile(c.disk.path(c.archives["admin-0"].name), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{1, 2, 3, 4}, 5*BlockSize)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	res, err = c.Verify(t.Context()) // checks again what was right before
	require.NoError(t, err)
	require.Len(t, res.Damaged, 1)
	require.Equal(t, download.ID("admin-0"), res.Damaged[0].ID)
	require.EqualValues(t, 5*BlockSize, res.Damaged[0].Off)
	require.EqualValues(t, 7*BlockSize, c.Cached("admin-0"))

	// There is no source to fetch it from.
	h := openArchive(t, c, list[0].ArchiveInfo)
	_, err = h.ReadAt(t.Context(), make([]byte, 1), 5*BlockSize)
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.NoError(t, h.Close())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Verify(ctx)
	require.ErrorIs(t, err, context.Canceled)

	require.NoError(t, c.Clear())
	list, err = c.List()
	require.NoError(t, err)
	require.Empty(t, list)
	files, err := filepath.Glob(filepath.Join(dir, filesName, "*"))
	require.NoError(t, err)
	require.Empty(t, files)
	require.NoError(t, c.Close())

	c = openCache(t, dir, nil)
	list, err = c.List()
	require.NoError(t, err)
	require.Empty(t, list)
}
