package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

// What mv says of a name that a download cannot have is what is wrong with it.
// Proves S-26.
func TestRenameRefused(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{})
	id := submit(t, m, "Sites/press/documentLibrary/report.txt")
	for name, says := range map[string]string{
		".q3":                                  "Operation not permitted",
		"a\tb":                                 "Operation not permitted",
		"gpj.\u202eexe":                        "Operation not permitted",
		"autorun.inf":                          "Operation not permitted",
		"11111111-2222-3333-4444-555555555555": "Operation not permitted",
		"caf\xe9":                              "Invalid or incomplete multibyte or wide character",
		strings.Repeat("n", 256):               "File name too long",
	} {
		r := harness.Cmd{Name: "mv", Args: []string{"-T", m.Downloads + "/" + id, m.Downloads + "/" + name}}.Run(t)
		assert.Equal(t, 1, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, says)
		assert.NotContains(t, r.Stderr, "subdirectory of itself")
	}
	assert.Equal(t, []string{id}, m.List(t))
}
