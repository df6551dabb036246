package main

import (
	"bytes"
	stdlog "log"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLibrariesLogHere(t *testing.T) {
	flags, writer := stdlog.Flags(), stdlog.Writer()
	t.Cleanup(func() { stdlog.SetFlags(flags); stdlog.SetOutput(writer) })
	var out bytes.Buffer
	_, err := (&logOptions{level: "info", format: "json"}).logger(&out)
	require.NoError(t, err)
	stdlog.Printf("Unsolicited response starting with %q; err=%v", "Authorization: Basic c2VjcmV0", nil)
	assert.Contains(t, out.String(), `"level":"WARN"`)
	assert.Contains(t, out.String(), "Unsolicited response starting with")
	assert.NotContains(t, out.String(), "c2VjcmV0")
}
