package cache

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"downloadfs/download"

	"github.com/stretchr/testify/require"
)

// logBuffer collects the log of a cache.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// earlierRun returns a directory in which an earlier run has left a whole archive,
// and the path of its data file.
func earlierRun(t *testing.T, src *fakeSource, a download.ArchiveInfo) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	c := openCache(t, dir, src)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())
	files, err := filepath.Glob(filepath.Join(dir, filesName, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return dir, files[0]
}

// damage is what may befall a data file between two runs.
var damages = map[string]struct {
	do      func(t *testing.T, file string)
	refetch int64 // bytes that have to be fetched again
}{
	"flipped bit": {func(t *testing.T, file string) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		var b [1]byte
		_, err = f.ReadAt(b[:], 3*BlockSize+777)
		require.NoError(t, err)
		b[0] ^= 0x10
		_, err = f.WriteAt(b[:], 3*BlockSize+777)
		require.NoError(t, err)
	}, BlockSize},
	"truncated": {func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file, 5*BlockSize+100))
	}, 2*BlockSize + 55},
	"longer": {func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file, 50*BlockSize))
	}, 0},
	"emptied": {func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(file, 0))
	}, 7*BlockSize + 55},
	"deleted": {func(t *testing.T, file string) {
		require.NoError(t, os.Remove(file))
	}, 7*BlockSize + 55},
	"directory": {func(t *testing.T, file string) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.MkdirAll(filepath.Join(file, "x"), 0o700))
	}, 7*BlockSize + 55},
	"no index": {func(t *testing.T, file string) {
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(file), "..", indexName)))
	}, 7*BlockSize + 55},
	"empty index": {func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(filepath.Join(filepath.Dir(file), "..", indexName), 0))
	}, 7*BlockSize + 55},
	"index of garbage": {func(t *testing.T, file string) {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "..", indexName), []byte(strings.Repeat("garbage!", 4000)), 0o600))
	}, 7*BlockSize + 55},
	"truncated index": {func(t *testing.T, file string) {
		require.NoError(t, os.Truncate(filepath.Join(filepath.Dir(file), "..", indexName), 9000))
	}, 7*BlockSize + 55},
	"half an index": {func(t *testing.T, file string) {
		index := filepath.Join(filepath.Dir(file), "..", indexName)
		p, err := os.ReadFile(index)
		require.NoError(t, err)
		clear(p[8192:]) // all but the two meta pages
		require.NoError(t, os.WriteFile(index, p, 0o600))
	}, 7*BlockSize + 55},
}

// TestDamageBetweenRuns: whatever happened to the files, the bytes are right, and
// only what is damaged is fetched again.
// Proves S-38.
func TestDamageBetweenRuns(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			a := info("damaged", 7*BlockSize+55)
			dir, file := earlierRun(t, &fakeSource{}, a)
			damage.do(t, file)
			src := &fakeSource{}
			var logged logBuffer
			c := openCache(t, dir, src, func(cfg *Config) { cfg.Logger = logged.logger() })
			require.Nil(t, c.unusable)
			h := openArchive(t, c, a)
			for off := int64(0); off < a.Size; off += 100_000 {
				if f, ok := h.File(off, 100_000); ok {
					n := min(100_000, a.Size-off)
					p := make([]byte, n)
					_, err := f.ReadAt(p, off)
					require.NoError(t, err)
					require.Equal(t, content(a.ID, off, n), p)
				}
			}
			readAll(t, h, a, 0, a.Size)
			require.NoError(t, h.Close())
			require.NoError(t, c.Close())
			total, twice := src.bytes(a.ID)
			require.Equal(t, damage.refetch, total)
			require.Zero(t, twice)
			t.Log(logged.String())
			if name == "flipped bit" {
				require.Contains(t, logged.String(), `msg="damaged block in the cache; it is fetched again"`)
			}

			// And all is well again afterwards.
			src = &fakeSource{}
			c = openCache(t, dir, src)
			h = openArchive(t, c, a)
			readAll(t, h, a, 0, a.Size)
			require.Zero(t, src.count())
		})
	}
}

// TestDamageWithinRun: a file that shrinks or goes bad under an open archive is
// noticed where the file system notices it.
// Proves S-38.
func TestDamageWithinRun(t *testing.T) {
	src := &fakeSource{}
	dir := t.TempDir()
	c := openCache(t, dir, src)
	a := info("shrinking", 6*BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.Eventually(t, func() bool { return c.Complete(a.ID) }, 5*time.Second, time.Millisecond)
	files, err := filepath.Glob(filepath.Join(dir, filesName, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Truncate(files[0], 2*BlockSize))
	readAll(t, h, a, 0, a.Size)
	readAll(t, h, a, 0, a.Size)
}

// TestChangedIdentity: an id that names other bytes now does not show the old ones.
// Proves S-20.
func TestChangedIdentity(t *testing.T) {
	a := info("reborn", 3*BlockSize)
	dir, _ := earlierRun(t, &fakeSource{}, a)
	for _, b := range []download.ArchiveInfo{
		{ID: a.ID, Size: a.Size + 1, ModifiedAt: a.ModifiedAt},
		{ID: a.ID, Size: a.Size + 1, ModifiedAt: a.ModifiedAt.Add(time.Second)},
		{ID: a.ID, Size: a.Size - 1, ModifiedAt: a.ModifiedAt.Add(time.Second)},
	} {
		src := &fakeSource{}
		c := openCache(t, dir, src)
		h := openArchive(t, c, b)
		require.Zero(t, c.Cached(a.ID))
		readAll(t, h, b, 0, b.Size)
		require.NotZero(t, src.count())
		require.NoError(t, h.Close())
		require.NoError(t, c.Close())
	}
}

// TestSameIdentity: a time that was stored with less precision, or not at all, is
// the same time.
func TestSameIdentity(t *testing.T) {
	a := info("same", 3*BlockSize)
	dir, _ := earlierRun(t, &fakeSource{}, a)
	src := &fakeSource{}
	c := openCache(t, dir, src)
	coarse, unknown := a, a
	coarse.ModifiedAt = a.ModifiedAt.Truncate(1e9)
	unknown.ModifiedAt = time.Time{}
	for _, b := range []download.ArchiveInfo{coarse, unknown} {
		h := openArchive(t, c, b)
		readAll(t, h, b, 0, b.Size)
	}
	require.Zero(t, src.count())
}

// TestStrayFilesAreRemoved: what the index does not know is no use.
func TestStrayFilesAreRemoved(t *testing.T) {
	a := info("known", BlockSize)
	dir, file := earlierRun(t, &fakeSource{}, a)
	stray := filepath.Join(dir, filesName, newFileName("unknown"))
	require.NoError(t, os.WriteFile(stray, make([]byte, 100), 0o600))
	odd := filepath.Join(dir, filesName, "odd")
	require.NoError(t, os.WriteFile(odd, make([]byte, 100), 0o600))
	openCache(t, dir, &fakeSource{})
	require.FileExists(t, file)
	require.NoFileExists(t, stray)
	require.NoFileExists(t, odd)
}

// TestModes: nobody else can read or change what the cache serves.
// Proves S-50.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	c := openCache(t, dir, &fakeSource{})
	a := info("modes", BlockSize)
	h := openArchive(t, c, a)
	readAll(t, h, a, 0, a.Size)
	require.NoError(t, h.Close())
	require.NoError(t, c.Close())
	seen := 0
	require.NoError(t, filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		seen++
		want := os.FileMode(0o600)
		if fi.IsDir() {
			want = 0o700
		}
		if fi.Mode().Perm() != want {
			return fmt.Errorf("%s has mode %v", path, fi.Mode())
		}
		return err
	}))
	require.Equal(t, 6, seen) // two directories, lock, tag, index, archive
	tag, err := os.ReadFile(filepath.Join(dir, tagName))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(tag), "Signature: 8a477f597d28d172789f06886806bc55\n"))
}

// TestLowerLimit: a limit lower than in the run before is kept from the start.
func TestLowerLimit(t *testing.T) {
	dir := t.TempDir()
	src := &fakeSource{}
	c := openCache(t, dir, src)
	for i := range 6 {
		a := info(fmt.Sprintf("lower-%d", i), 2*BlockSize)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		require.NoError(t, h.Close())
	}
	require.NoError(t, c.Close())
	const limit = 5 * BlockSize
	c = openCache(t, dir, src, func(cfg *Config) { cfg.Size = limit })
	use, err := diskUse(dir)
	require.NoError(t, err)
	require.LessOrEqual(t, use, int64(limit))
	require.True(t, c.Complete("lower-5"))
	require.True(t, c.Complete("lower-4"))
	require.Zero(t, c.Cached("lower-0"))
	require.LessOrEqual(t, c.Usage().Used, int64(limit))
}
