package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An argument of get that is none is quoted, without a number of a line, and a path
// without its first slash is told so. In a list the line counts.
// Proves S-237.
func TestItemErrors(t *testing.T) {
	for _, item := range []string{"report.pdf", "Sites/press/report.pdf"} {
		code, _, stderr := tool("get", "--server", "http://127.0.0.1:1", item)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, stderr, `downloadfs: "`+item+`": it is not a node id, NodeRef or URL, and a path starts with /`)
	}
	_, err := readItems(strings.NewReader("/a\nreport.pdf\n"), []string{"-"})
	require.ErrorContains(t, err, `line 2: "report.pdf": it is not`)
}
