package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
	"downloadfs/zipfile"
)

// rig is a fetcher on a fake server, with a file to fetch.
func rig(t *testing.T, p downloadtest.Plan) (*downloadtest.Service, *Fetcher, []download.NodeID, *[]Event) {
	t.Helper()
	s := downloadtest.NewService()
	s.SetPlan(p)
	node := s.AddFile("/a.txt", bytes.Repeat([]byte("x"), 1000))
	var events []Event
	f := &Fetcher{Service: s, Source: s, StallTimeout: time.Minute, Tell: func(e Event) { events = append(events, e) }}
	return s, f, []download.NodeID{node}, &events
}

// Proves S-159.
func TestFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, nodes, events := rig(t, downloadtest.Plan{Pending: time.Second, Zipping: 10 * time.Second, Bytes: 1000})
		record := OpenRecord(filepath.Join(t.TempDir(), "r"))
		part := filepath.Join(t.TempDir(), "part")
		a, err := f.Download(t.Context(), nodes, record)
		require.NoError(t, err)
		_, err = f.File(t.Context(), a, part, record)
		require.NoError(t, err)
		got, err := os.ReadFile(part)
		require.NoError(t, err)
		want, _ := s.Content(a.ID)
		assert.Equal(t, want, got)
		assert.Less(t, s.Count("Get"), 20, "asked too often")
		require.NotEmpty(t, *events)
		assert.Equal(t, Zipping, (*events)[0].Phase)
		last := (*events)[len(*events)-1]
		assert.Equal(t, Event{Phase: Fetching, ID: a.ID, Name: a.Name, Done: a.Size, Total: a.Size}, last)
		f.Forget(t.Context(), a.ID, record)
		_, has := s.Has(a.ID)
		assert.False(t, has, "the server still has it")
		assert.Empty(t, record.ID())
	})
}

// An interrupted try is gone on with: the server zips once, and no byte that is
// here is fetched again.
// Proves S-159.
func TestFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, nodes, events := rig(t, downloadtest.Plan{Zipping: 10 * time.Second})
		path, part := filepath.Join(t.TempDir(), "r"), filepath.Join(t.TempDir(), "part")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := f.Download(ctx, nodes, OpenRecord(path))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		record := OpenRecord(path)
		a, err := f.Download(t.Context(), nodes, record)
		require.NoError(t, err)
		assert.Equal(t, 1, s.Count("Create"))
		resumed, err := f.File(t.Context(), a, part, record)
		require.NoError(t, err)
		assert.False(t, resumed)
		whole, err := os.ReadFile(part)
		require.NoError(t, err)

		require.NoError(t, os.Truncate(part, a.Size/2))
		*events = nil
		resumed, err = f.File(t.Context(), a, part, OpenRecord(path))
		require.NoError(t, err)
		assert.True(t, resumed)
		require.NoError(t, f.Check(t.Context(), a, part))
		assert.Equal(t, a.Size/2, (*events)[0].Done)
		got, err := os.ReadFile(part)
		require.NoError(t, err)
		assert.Equal(t, whole, got)

		// A machine that lost its power has kept its length, but not its bytes.
		damaged := bytes.Clone(whole[:a.Size/2])
		clear(damaged[10:])
		require.NoError(t, os.WriteFile(part, damaged, 0o600))
		_, err = f.File(t.Context(), a, part, OpenRecord(path))
		require.NoError(t, err)
		err = f.Check(t.Context(), a, part)
		require.True(t, IsDamage(err), "%v", err)

		// What another download left is not gone on with.
		require.NoError(t, os.WriteFile(part, []byte("something else"), 0o600))
		resumed, err = f.File(t.Context(), a, part, OpenRecord(filepath.Join(t.TempDir(), "none")))
		require.NoError(t, err)
		assert.False(t, resumed)
		got, err = os.ReadFile(part)
		require.NoError(t, err)
		assert.Equal(t, whole, got)

		// The server has deleted it meanwhile.
		s.Expire(a.ID)
		again, err := f.Download(t.Context(), nodes, OpenRecord(path))
		require.NoError(t, err)
		assert.NotEqual(t, a.ID, again.ID)
		assert.Equal(t, 2, s.Count("Create"))
	})
}

// Proves S-159.
func TestFetchFails(t *testing.T) {
	for name, c := range map[string]struct {
		plan downloadtest.Plan
		want error
	}{
		"too large": {downloadtest.Plan{Bytes: 100, Limit: 10}, download.ErrTooLarge},
		"stalled":   {downloadtest.Plan{Zipping: time.Hour, FailAfter: time.Second}, download.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f, nodes, _ := rig(t, c.plan)
				record := OpenRecord(filepath.Join(t.TempDir(), "r"))
				_, err := f.Download(t.Context(), nodes, record)
				require.ErrorIs(t, err, c.want)
				assert.Empty(t, s.DownloadIDs(), "it stays on the server")
				assert.Empty(t, record.ID())
			})
		})
	}
}

// broken breaks streams after a few bytes, and then for good.
type broken struct {
	download.Source
	streams int
}

func (b *broken) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	if b.streams++; b.streams > 5 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	r, err := b.Source.Stream(ctx, a, off, end)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, 10), failing{}), r}, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Proves S-159.
func TestFetchGivesUp(t *testing.T) {
	_, f, nodes, _ := rig(t, downloadtest.Plan{})
	b := &broken{Source: f.Source}
	f.Source = b
	a, err := f.Download(t.Context(), nodes, &Record{})
	require.NoError(t, err)
	var out bytes.Buffer
	err = f.Write(t.Context(), a, &out, 0)
	require.Error(t, err)
	assert.Equal(t, 50, out.Len(), "each broken stream is gone on with at its byte")
	assert.Equal(t, 10, b.streams)
	assert.False(t, errors.Is(err, context.Canceled))
}

// Proves S-159.
// What arrives goes into a new file, whatever has its name: in a directory like /tmp it
// could be a link of another user's.
// Proves S-64.
func TestCreatePart(t *testing.T) {
	dir := t.TempDir()
	other, part := filepath.Join(dir, "other"), filepath.Join(dir, "part")
	require.NoError(t, os.WriteFile(other, []byte("of somebody"), 0o666))
	require.NoError(t, os.Symlink(other, part))
	for range 2 {
		f, err := CreatePart(part)
		require.NoError(t, err)
		_, err = f.WriteString("mine")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		info, err := os.Lstat(part)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
		assert.Equal(t, int64(4), info.Size())
	}
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	assert.Equal(t, "of somebody", string(text))
}

// Proves S-159.
func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf.zip": "report.pdf.zip", "../../etc/passwd": "passwd", "a/b": "b", "..": "id-1.zip", "": "id-1.zip", ".bashrc": "bashrc",
		"x\x1b[31m\n.zip": "x_[31m_.zip", `a\b`: "a_b", "Überblick 2026.zip": "Überblick 2026.zip",
	} {
		assert.Equal(t, want, FileName(download.ArchiveInfo{ID: "id-1", Name: name}), "%q", name)
	}
}

// Nothing is written outside of the directory, and nothing in it is replaced.
// Proves S-159.
func TestExtract(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "a.zip"), filepath.Join(dir, "out")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"a.txt", "a.txt", "sub/", "sub/b.txt", "../evil.txt", "/abs.txt", "x/../../evil2.txt", `c:\d.txt`, "sub/./c.txt", "link/inside.txt"} {
		w, err := z.Create(name)
		require.NoError(t, err)
		if name[len(name)-1] != '/' {
			_, err = w.Write([]byte(name))
			require.NoError(t, err)
		}
	}
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	require.NoError(t, os.Mkdir(out, 0o755))
	outside := filepath.Join(dir, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))

	extracted, err := Extract(t.Context(), "0123456789", file, out)
	require.NoError(t, err)
	assert.Equal(t, Extracted{Files: 9}, extracted)
	assert.ElementsMatch(t, []string{
		"a.zip", "out/a.txt", "out/a (1).txt", "out/sub/b.txt", "out/evil.txt", "out/abs.txt", "out/x/?/?/evil2.txt", `out/c:\d.txt`, "out/sub/c.txt", "out/link/inside.txt",
	}, filesIn(t, dir))

	// The same again is there already; another file is not replaced.
	require.NoError(t, os.WriteFile(filepath.Join(out, "abs.txt"), []byte("my own!!"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(out, "sub/b.txt")))
	for range 2 {
		extracted, err = Extract(t.Context(), "0123456789", file, out)
		require.NoError(t, err)
		assert.Equal(t, Extracted{Files: 9, Numbered: []string{"abs (1).txt"}}, extracted)
	}
	mine, err := os.ReadFile(filepath.Join(out, "abs.txt"))
	require.NoError(t, err)
	assert.Equal(t, "my own!!", string(mine))
	assert.FileExists(t, filepath.Join(out, "sub/b.txt"))

	// A link that leads out is not followed.
	out2 := filepath.Join(dir, "out2")
	require.NoError(t, os.Mkdir(out2, 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(out2, "link")))
	_, err = Extract(t.Context(), "0123456789", file, out2)
	require.Error(t, err)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, entries)

	// Damage is noticed, and the damaged file is not left behind. The others are there.
	text := bytes.Replace(b.Bytes(), []byte("a.txt"), []byte("a.txt"), 1)
	i := bytes.Index(text, []byte("PK\x01\x02"))
	text[i+16] ^= 0xff // the first entry's CRC
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, err = Extract(t.Context(), "0123456789", file, filepath.Join(dir, "out3"))
	require.ErrorIs(t, err, zipfile.ErrDamaged)
	require.True(t, IsDamage(err))
	require.NoFileExists(t, filepath.Join(dir, "out3/a.txt"))
	require.FileExists(t, filepath.Join(dir, "out3/link/inside.txt"))
	left, err := filepath.Glob(filepath.Join(dir, "out3/.*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// filesIn returns the names of all files below dir, in order.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	}))
	return names
}

// zipOf makes a zip of names; each file has its name's bytes a thousand times.
func zipOf(t *testing.T, names ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.zip")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, strings.Repeat(name, 1000))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	return file
}

// What is interrupted in the middle of a file, also by SIGKILL, leaves no file that is
// shorter than it should be, and the next try leaves no file twice.
// Proves S-159.
func TestExtractGoesOn(t *testing.T) {
	file, out := zipOf(t, "a.txt", "b.txt", "sub/c.txt"), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Extract(ctx, "id", file, out)
	require.ErrorIs(t, err, context.Canceled)
	// As a killed process leaves it.
	require.NoError(t, os.WriteFile(filepath.Join(out, "a.txt"), []byte(strings.Repeat("a.txt", 1000)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(out, ".downloadfs-id.part"), []byte("b.t"), 0o600))
	extracted, err := Extract(t.Context(), "id", file, out)
	require.NoError(t, err)
	assert.Equal(t, Extracted{Files: 3}, extracted)
	got := filesIn(t, out)
	assert.Equal(t, []string{"a.txt", "b.txt", "sub/c.txt"}, got)
	for _, name := range got {
		b, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat(name, 1000), string(b))
	}
}

// A name that no file system takes is cut, as in contents of a mount, also when it is
// taken.
// Proves S-159.
func TestExtractLongNames(t *testing.T) {
	long := strings.Repeat("報", 90) + ".pdf"
	file, out := zipOf(t, "a.txt", long, "z.txt"), t.TempDir()
	_, err := Extract(t.Context(), "id", file, out)
	require.NoError(t, err)
	shown := strings.Repeat("報", 83) + ".pdf"
	assert.FileExists(t, filepath.Join(out, shown))
	assert.FileExists(t, filepath.Join(out, "z.txt"))
	require.NoError(t, os.WriteFile(filepath.Join(out, shown), []byte("another"), 0o600))
	extracted, err := Extract(t.Context(), "id", file, out)
	require.NoError(t, err)
	assert.Equal(t, []string{strings.Repeat("報", 82) + " (1).pdf"}, extracted.Numbered)
}
