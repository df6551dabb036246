package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whoever writes a value of the wrong form is told the right one, wherever it stands.
// Proves S-97.
func TestValueOfWrongForm(t *testing.T) {
	path := writeConfig(t, "defaults:\n  allow-other: yes\n  stall-timeout: 5\n")
	_, out, _ := tool("config", "check", "--config", path)
	assert.Contains(t, out, path+":2: invalid value \"yes\" for allow-other: write true or false\n")
	assert.Contains(t, out, path+":3: invalid value \"5\" for stall-timeout: write a number with its unit, like 5s or 10m\n")
	for args, want := range map[string]string{
		"--allow-other=yes":  "invalid value \"yes\" for --allow-other: write true or false",
		"--stall-timeout 5":  "invalid value \"5\" for --stall-timeout: write a number with its unit, like 5s or 10m",
		"--cache-size 5X":    "invalid value \"5X\" for --cache-size: write a size like 512M or 10G",
		"--password-command": "flag needs an argument: --password-command",
	} {
		code, _, stderr := tool(append([]string{"mount", "http://h.example", "/m"}, strings.Fields(args)...)...)
		assert.Equal(t, exitUsage, code, args)
		assert.Contains(t, stderr, "downloadfs: "+want, args)
	}
}
