package main

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// full is a file on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

// Proves S-234.
func TestOutputCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for _, args := range []string{
		"version", "list --json", "config show --config /dev/null", "config check --config /dev/null", "__complete mount --wa",
		"cache list --cache-dir " + dir + "/none", "share list --share file://" + dir, "share keygen " + dir + "/key", "help", "mount --help",
	} {
		var stderr bytes.Buffer
		assert.Equal(t, exitOther, run(strings.Fields(args), full{}, &stderr), args)
		assert.Contains(t, stderr.String(), "downloadfs: cannot write to standard output: no space left on device\n", args)
	}
}
