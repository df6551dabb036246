package repository

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the data directory is called, and if nobody named one, it is refused
// in the served folder, and nothing is left there.
// Proves S-92.
func TestDataIsNotServed(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "documents")
	writeFiles(t, dir, files{"tmp/": ""})
	link := filepath.Join(top, "link")
	require.NoError(t, os.Symlink(filepath.Join(dir, "tmp"), link))
	for _, c := range []struct {
		name, tmp, data string
	}{
		{"temporary", filepath.Join(dir, "tmp"), ""},
		{"temporary, by a link", link, ""},
		{"named", top, filepath.Join(dir, "tmp")},
		{"named, by a link", top, link},
		{"not there yet", top, filepath.Join(link, "a", "b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TMPDIR", c.tmp)
			_, err := New(Config{Dir: dir, DataDir: c.data})
			require.ErrorIs(t, err, ErrDataServed)
			require.Empty(t, dirEntries(t, filepath.Join(dir, "tmp")))
		})
	}
	t.Setenv("TMPDIR", top)
	r, err := New(Config{Dir: dir})
	require.NoError(t, err, "beside the folder there is no harm")
	require.NoError(t, r.Close())
}
