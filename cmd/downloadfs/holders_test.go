package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Proves S-56.
func TestHolders(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, comm, cwd, maps string, fds ...string) {
		dir := filepath.Join(proc, pid)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "fd"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "comm"), []byte(comm+"\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "maps"), []byte(maps), 0o600))
		require.NoError(t, os.Symlink(cwd, filepath.Join(dir, "cwd")))
		for i, target := range fds {
			require.NoError(t, os.Symlink(target, filepath.Join(dir, "fd", string(rune('0'+i)))))
		}
	}
	process("10", "bash", "/mnt/a", "")
	process("11", "less\x1b[31m", "/", "", "/dev/pts/0", "/mnt/a/downloads/x/archive.zip", "/mnt/a/downloads/x/archive.zip")
	process("12", "next", "/mnt/ab", "", "/mnt/ab/c")
	process("13", "mapper", "/", "7f00-7f01 r--p 0 00:34 5  /mnt/a/downloads/y/archive.zip\n7f02-7f03 r--p 0 00:34 5 [heap]\n")
	process("14", "gone", "/mnt/a/b (deleted)", "", "/mnt/a/1", "/mnt/a/2", "/mnt/a/3", "socket:[1]")
	require.NoError(t, os.WriteFile(filepath.Join(proc, "uptime"), nil, 0o600))

	var texts []string
	for _, h := range holdersIn(proc, "/mnt/a") {
		texts = append(texts, h.String())
	}
	assert.Equal(t, []string{
		"bash (pid 10: working directory)",
		"less?[31m (pid 11: downloads/x/archive.zip open)",
		"mapper (pid 13: downloads/y/archive.zip mapped)",
		"gone (pid 14: 1 open, 2 open, 3 open, 1 more)",
	}, texts)
	assert.Empty(t, holdersIn(filepath.Join(proc, "missing"), "/mnt/a"))
}
