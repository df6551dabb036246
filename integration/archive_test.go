package integration

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// archive is a finished archive as the server itself sends it.
type archive struct {
	bytes   []byte
	entries []zipEntry
}

// zipEntry is an entry of an archive; folders' names end in a slash.
type zipEntry struct{ name, content string }

// fetch asks the server for a download's archive, past the mount.
func fetch(t testing.TB, s *harness.Server, id string) archive {
	t.Helper()
	code, body := s.Core(t, "GET", "/nodes/"+id+"/content", nil)
	require.Equal(t, http.StatusOK, code, "%.1000s", body)
	return archive{body, zipEntries(t, body)}
}

// zipEntries reads all of a zip.
func zipEntries(t testing.TB, content []byte) []zipEntry {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	entries := make([]zipEntry, len(r.File))
	for i, f := range r.File {
		in, err := f.Open()
		require.NoError(t, err, f.Name)
		text, err := io.ReadAll(in)
		require.NoError(t, err, f.Name)
		entries[i] = zipEntry{f.Name, string(text)}
	}
	return entries
}

// names returns the names of the entries, one a line.
func (a archive) names() string {
	var b strings.Builder
	for _, e := range a.entries {
		b.WriteString(e.name + "\n")
	}
	return b.String()
}

// files counts the entries that are no folders, and their bytes.
func (a archive) files() (count, size int) {
	for _, e := range a.entries {
		if !strings.HasSuffix(e.name, "/") {
			count++
			size += len(e.content)
		}
	}
	return count, size
}

// content returns the content of all entries, in order.
func (a archive) content() string {
	var b strings.Builder
	for _, e := range a.entries {
		b.WriteString(e.content)
	}
	return b.String()
}

// sums returns what sha256sum would print for the entries, folders included.
func (a archive) sums() string {
	var b strings.Builder
	for _, e := range a.entries {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256([]byte(e.content)), e.name)
	}
	return b.String()
}

func (a archive) md5() string { return fmt.Sprintf("%x", md5.Sum(a.bytes)) }

// assertCopy fails unless the file at path holds the archive's bytes.
func (a archive) assertCopy(t testing.TB, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, len(a.bytes), len(got), "size of %s", path)
	assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256(a.bytes)), fmt.Sprintf("%x", sha256.Sum256(got)), "SHA-256 of %s", path)
}

// assertPadded fails unless the file at path holds the archive's bytes and then
// nothing but zeros.
func (a archive) assertPadded(t testing.TB, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Greater(t, len(got), len(a.bytes))
	assert.True(t, bytes.Equal(a.bytes, got[:len(a.bytes)]), "the archive's bytes")
	assert.Empty(t, bytes.Trim(got[len(a.bytes):], "\x00"), "behind them")
}

// assertUnpacked fails unless dir holds the archive's files and folders and
// nothing else.
func (a archive) assertUnpacked(t testing.TB, dir string) {
	t.Helper()
	want := make(map[string]string)
	for _, e := range a.entries {
		want[e.name] = fmt.Sprintf("%x", sha256.Sum256([]byte(e.content)))
		for at := strings.LastIndexByte(strings.TrimSuffix(e.name, "/"), '/'); at > 0; at = strings.LastIndexByte(e.name[:at], '/') {
			want[e.name[:at+1]] = fmt.Sprintf("%x", sha256.Sum256(nil))
		}
	}
	got := make(map[string]string)
	require.NoError(t, filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, content := strings.TrimPrefix(path, dir+"/"), []byte(nil)
		if fi.IsDir() {
			name += "/"
		} else if content, err = os.ReadFile(path); err != nil {
			return err
		}
		got[name] = fmt.Sprintf("%x", sha256.Sum256(content))
		return nil
	}))
	assert.Equal(t, want, got)
}
