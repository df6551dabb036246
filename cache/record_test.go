package cache

import (
	"strings"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []meta{
		{info: download.ArchiveInfo{ID: "a"}},
		{info: info("3f2504e0-4f89-11d3-9a0c-0305e82c3301", 1<<40), used: time.Unix(1, 2)},
		{info: download.ArchiveInfo{ID: "x.y_z-1", Name: "Bericht über alles.zip", Size: 1, ModifiedAt: time.Unix(-5, 0)}},
	} {
		got, err := decodeMeta(m.append(nil))
		require.NoError(t, err)
		require.Equal(t, m.info.ID, got.info.ID)
		require.Equal(t, m.info.Name, got.info.Name)
		require.Equal(t, m.info.Size, got.info.Size)
		require.True(t, m.info.ModifiedAt.Equal(got.info.ModifiedAt))
		require.True(t, m.used.Equal(got.used))
	}
	long := meta{info: download.ArchiveInfo{ID: "a", Name: strings.Repeat("n", 5000)}}
	got, err := decodeMeta(long.append(nil))
	require.NoError(t, err)
	require.Len(t, got.info.Name, maxName)
}

func TestDamagedRecords(t *testing.T) {
	good := meta{info: info("id", 100)}.append(nil)
	hugeSize := meta{info: download.ArchiveInfo{ID: "id", Size: (maxBlocks + 1) * BlockSize}}.append(nil)
	badID := meta{info: download.ArchiveInfo{ID: "../etc/passwd", Size: 1}}.append(nil)
	negative := meta{info: download.ArchiveInfo{ID: "id", Size: -1}}.append(nil)
	for name, p := range map[string][]byte{
		"empty": nil, "version": append([]byte{99}, good[1:]...), "short": good[:len(good)-1],
		"long": append(good, 0), "huge": hugeSize, "id": badID, "negative": negative,
	} {
		_, err := decodeMeta(p)
		require.ErrorIs(t, err, errRecord, name)
	}
	_, err := decodeChunk(make([]byte, chunkRecordLen-1))
	require.ErrorIs(t, err, errRecord)
	for _, k := range []string{"", "abcd", "\x00abcd", "nameXabcd"} {
		_, _, err := decodeChunkKey([]byte(k))
		require.ErrorIs(t, err, errRecord, k)
	}
}

func TestChunk(t *testing.T) {
	var c chunk
	require.Zero(t, c.top())
	c.set(63, 7)
	c.set(0, 9)
	got, err := decodeChunk(c.append(nil))
	require.NoError(t, err)
	require.Equal(t, c, got)
	require.Equal(t, 64, got.top())
	require.True(t, got.has(63))
	require.False(t, got.has(62))
	got.clear(63)
	require.Equal(t, 1, got.top())
	name, num, err := decodeChunkKey(chunkKey("file\x00name", 1<<31))
	require.NoError(t, err)
	require.Equal(t, "file\x00name", name)
	require.EqualValues(t, 1<<31, num)
}

// FuzzRecords decodes anything: no panic, no unbounded memory, and what is
// accepted means the same when it is encoded again.
func FuzzRecords(f *testing.F) {
	f.Add(meta{info: info("seed", 123)}.append(nil))
	var c chunk
	c.set(5, 1)
	f.Add(c.append(nil))
	f.Add(chunkKey("name", 3))
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := decodeMeta(p); err == nil {
			again, err := decodeMeta(m.append(nil))
			require.NoError(t, err)
			m.info.Name = m.info.Name[:min(len(m.info.Name), maxName)]
			require.Equal(t, m, again)
			require.LessOrEqual(t, blockCount(m.info.Size), maxBlocks)
		}
		if c, err := decodeChunk(p); err == nil {
			require.Equal(t, p, c.append(nil))
		}
		if name, num, err := decodeChunkKey(p); err == nil {
			require.Equal(t, p, chunkKey(name, num))
		}
	})
}
