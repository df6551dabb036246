package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// onDisk returns what each file below dir takes on disk; some may come and go.
func onDisk(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	sizes := make(map[string]int64)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				sizes[path] = 512 * info.Sys().(*syscall.Stat_t).Blocks
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	require.NoError(t, err)
	return sizes
}

// togetherOnDisk returns what the files below dir take on disk together. They are looked
// at one after the other, and the first may have made room for the last meanwhile. So
// what looks like more than limit is looked at again, and counts as far as both saw it.
func togetherOnDisk(t testing.TB, dir string, limit int64) int64 {
	t.Helper()
	sum := func(sizes map[string]int64) (total int64) {
		for _, size := range sizes {
			total += size
		}
		return total
	}
	sizes := onDisk(t, dir)
	if sum(sizes) <= limit {
		return sum(sizes)
	}
	again := onDisk(t, dir)
	for path := range sizes {
		sizes[path] = min(sizes[path], again[path])
	}
	return sum(sizes)
}

// readWithin reads an archive to its end, past the kernel's page cache, and
// returns its MD5 sum. Meanwhile the cache must not take more than limit on disk.
func readWithin(t testing.TB, m *harness.Mount, id string, limit int64) string {
	t.Helper()
	p := m.Cmd("f=" + id + "/archive.zip && dd if=$f iflag=nocache count=0 status=none && md5sum < $f").Start(t)
	most := int64(0)
	harness.Eventually(t, harness.Timeout, func() bool {
		most = max(most, togetherOnDisk(t, m.CacheDir, limit))
		return !p.Running()
	}, "still reading")
	assert.LessOrEqual(t, most, limit, "the cache has grown over its limit")
	return strings.TrimSuffix(p.Wait().Out(t), "  -")
}

// TestArchiveLargerThanCache: an archive that does not fit is read as any other, as
// often as one likes, and the cache keeps to its limit.
// Proves S-44.
func TestArchiveLargerThanCache(t *testing.T) {
	t.Parallel()
	const size, limit = 8 << 20, 3 << 20
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"large.bin": harness.Noise(1, size)})
	s := harness.StartServer(t, dir)
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--cache-size", "3M", "--cache-min-free", "0"}})
	id := submit(t, m, "large.bin")
	m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	want := archiveMD5(t, s, id)
	for range 2 {
		before := s.Stats(t)["contentBytes"].(float64)
		assert.Equal(t, want, readWithin(t, m, id, limit))
		assert.GreaterOrEqual(t, s.Stats(t)["contentBytes"].(float64)-before, float64(size-limit), "these bytes are in no cache")
	}
}

// TestCacheEvictsLeastRecentlyUsed: when another archive needs the room, the one
// goes that nobody has read for longest.
// Proves S-44.
func TestCacheEvictsLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	const limit = 5 << 20 // room for two of 2 MB
	dir := harness.Dir(t, harness.User{})
	for i := range 3 {
		harness.Tree(t, dir, map[string]string{fmt.Sprintf("%d.bin", i): harness.Noise(uint64(i), 2_000_000)})
	}
	s := harness.StartServer(t, dir)
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--cache-size", "5M", "--cache-min-free", "0", "--prefetch", "off"}})
	var ids, sums []string
	for i := range 3 {
		id := submit(t, m, fmt.Sprintf("%d.bin", i))
		m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
		ids, sums = append(ids, id), append(sums, archiveMD5(t, s, id))
	}
	cached := func(i int) string { return m.Status(t, ids[i], "cachedBytes") }
	// What was closed a moment ago may still count as in use.
	read := func(i int) {
		t.Helper()
		harness.Eventually(t, harness.Timeout, func() bool {
			require.Equal(t, sums[i], readWithin(t, m, ids[i], limit))
			return cached(i) == m.Status(t, ids[i], "archiveSize")
		}, "%d is not kept", i)
	}
	read(0)
	read(1)
	read(0)
	read(2)
	assert.Equal(t, "0", cached(1), "the least recently used one")
	for _, i := range []int{0, 2} {
		assert.Equal(t, m.Status(t, ids[i], "archiveSize"), cached(i), i)
	}
	sent := s.Stats(t)["contentBytes"]
	assert.Equal(t, sums[0], readWithin(t, m, ids[0], limit))
	assert.Equal(t, sent, s.Stats(t)["contentBytes"], "what is kept is not fetched again")
	assert.Equal(t, sums[1], readWithin(t, m, ids[1], limit))
}

// TestDf: df of the mount tells the cache's size and use.
// Proves S-49.
func TestDf(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Flags: []string{"--cache-size", "64M", "--cache-min-free", "0"}})
		df := func() (size, used, free int64) {
			t.Helper()
			fields := strings.Fields(m.Sh(t, "df -B1 --output=size,used,avail . | tail -n 1").Out(t))
			require.Len(t, fields, 3)
			for i, n := range []*int64{&size, &used, &free} {
				var err error
				*n, err = strconv.ParseInt(fields[i], 10, 64)
				require.NoError(t, err)
			}
			return size, used, free
		}
		size, before, free := df()
		assert.EqualValues(t, 64<<20, size)
		assert.Less(t, before, int64(1<<20), "nothing is in it")
		assert.LessOrEqual(t, free, size-before)

		id := m.Create(t, s.NodeID(t, photos))
		m.Sh(t, "md5sum < "+id+"/archive.zip").OK(t)
		archive, err := strconv.ParseInt(m.Status(t, id, "archiveSize"), 10, 64)
		require.NoError(t, err)
		m.AwaitStatus(t, harness.Timeout, id, "cachedBytes", fmt.Sprint(archive))
		size, used, after := df()
		assert.EqualValues(t, 64<<20, size)
		assert.GreaterOrEqual(t, used-before, archive)
		assert.Less(t, after, free)
	})
}
