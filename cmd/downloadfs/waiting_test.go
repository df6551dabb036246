package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Proves S-56.
func TestWaitingFor(t *testing.T) {
	dir := t.TempDir()
	// A memory in which three texts lie, and the last one has no end.
	const memory = "\x00/mnt/a/downloads/x/archive.zip\x00/mnt/ab/other\x00/mnt/a/endless"
	thread := func(tid, wchan, call string) {
		at := filepath.Join(dir, "task", tid)
		require.NoError(t, os.MkdirAll(at, 0o700))
		for name, text := range map[string]string{"wchan": wchan, "syscall": call, "mem": memory} {
			require.NoError(t, os.WriteFile(filepath.Join(at, name), []byte(text), 0o600))
		}
	}
	thread("1", "request_wait_answer", "257 0xffffff9c 0x1 0x80000 0x0 0x0 0x0 0x7ffe 0x7f00\n") // openat(2)
	thread("2", "request_wait_answer", "2 0x1 0x0 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n")              // open(2)
	thread("3", "hrtimer_nanosleep", "230 0x1 0x1 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n")
	thread("4", "request_wait_answer", "0 0x3 0x7ffe 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n") // read(2)
	thread("5", "request_wait_answer", "257 0xffffff9c 0x20 0x0 0x0 0x0 0x0 0x0 0x7f00\n")
	thread("6", "request_wait_answer", "257 0xffffff9c 0x2e 0x0 0x0 0x0 0x0 0x0 0x7f00\n")
	thread("7", "request_wait_answer", "running\n")
	thread("8", "request_wait_answer", "")
	assert.Equal(t, []string{"downloads/x/archive.zip", "downloads/x/archive.zip"}, waitingFor(dir, "/mnt/a"))
	assert.Empty(t, waitingFor(filepath.Join(dir, "missing"), "/mnt/a"))
}
