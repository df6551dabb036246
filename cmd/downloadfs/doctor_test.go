package main

import (
	"os"
	"path/filepath"
	"testing"

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
