//go:build !portable

package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A process that dies gives up its memory before its descriptors. In between nobody may
// read its links. Then it is not known what it holds, and another's close does not end
// its list.
// Proves S-8.
func TestClosed(t *testing.T) {
	file := listFile{download.ControlFile, inoControl}
	for name, c := range map[string]struct {
		fdSize string
		fds    map[string]string // links; "" for one that cannot be read
		closed bool
		sees   bool
	}{
		"holds it":             {"256", map[string]string{"0": "/dev/null", "1": "/m/downloads/new"}, false, true},
		"holds none":           {"256", map[string]string{"0": "/dev/null"}, true, true},
		"dies, and still has":  {"256", map[string]string{"0": "", "1": ""}, false, false},
		"dies as it is looked": {"256", map[string]string{"0": "/dev/null", "1": ""}, false, false},
		"has let go of all":    {"0", nil, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			proc := t.TempDir()
			dir := filepath.Join(proc, "7")
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "task", "7"), 0o700))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "fd"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "status"), []byte("Tgid:\t7\nFDSize:\t"+c.fdSize+"\n"), 0o600))
			for fd, link := range c.fds {
				path := filepath.Join(dir, "fd", fd)
				if link == "" {
					require.NoError(t, os.WriteFile(path, nil, 0o600))
				} else {
					require.NoError(t, os.Symlink(link, path))
				}
			}
			callers := newCallers(proc)
			assert.Equal(t, c.closed, callers.closed(file, 7, 0, 0))
			assert.Equal(t, c.sees, callers.sees(7))
		})
	}
	assert.True(t, newCallers(t.TempDir()).closed(file, 7, 0, 0), "it is gone")
}
