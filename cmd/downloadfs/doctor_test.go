package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The doctor names a configuration file only if there is one.
// Proves S-133.
func TestDoctorConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	_, out, _ := tool("doctor", "--config", path)
	assert.Regexp(t, `(?m)^ok +configuration +no file: there is no `+path+`$`, out)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, out, _ = tool("doctor", "--config", path)
	assert.Regexp(t, `(?m)^ok +configuration +`+path+`$`, out)
}

// Without the table of mounts, mounting works and unmounting does not.
// Proves S-133.
func TestDoctorMountTable(t *testing.T) {
	for path, says := range map[string]string{
		"/proc/self/mounts": "",
		"/nonexistent/mtab": "/nonexistent/mtab is missing, so fusermount3 cannot unmount; run as root: ln -s /proc/self/mounts /nonexistent/mtab",
	} {
		var out strings.Builder
		d := &doctor{table: tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)}
		d.mountTable(path)
		assert.Contains(t, out.String(), says)
		assert.Equal(t, says == "", out.String() == "", path)
	}
}
