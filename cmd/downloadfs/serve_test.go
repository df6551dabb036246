package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What serve could only do with harm it refuses, in one line that says what to
// do instead.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{filepath.Dir(os.TempDir()), exitUsage, []string{"in the folder that is served", "--data-dir", "TMPDIR"}},
		{"--data-dir " + dir + "/data " + dir, exitUsage, []string{"in the folder that is served", dir + "/data", "--data-dir"}},
		{dir + "/missing", exitOther, []string{"cannot serve " + dir + "/missing"}},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, strings.Fields(c.args)...)
		assert.Equal(t, c.code, run(args, &stdout, &stderr), "%s: %s", c.args, &stderr)
		assert.Empty(t, stdout.String(), c.args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s: %s", c.args, &stderr)
		for _, want := range c.want {
			assert.Contains(t, stderr.String(), want, c.args)
		}
	}
}
