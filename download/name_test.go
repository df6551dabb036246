package download

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		"a", "q3 report", "-rf", "ä日😀", "a.b", "a..", strings.Repeat("a", 255), u1, "News", "newer", "a#b;c", "שלום\u200f!",
	} {
		assert.NoError(t, checkName(name, u1), "%q", name)
	}
	for _, name := range []string{
		"", ".", "..", "...", ".hidden", ".Trash-1000", "._x", ".DS_Store", "autorun.inf", "AUTORUN.INF", "new", "a/b", "/", "a\x00",
		"a\nb", "\x1b[31m", "a\x7f", "a\u0085", "gpj.\u202eexe", "a\u2067b", strings.Repeat("a", 256), strings.Repeat("é", 128), u2, strings.ToUpper(u3),
	} {
		err := checkName(name, u1)
		assert.ErrorIs(t, err, ErrName, "%q", name)
		assert.Less(t, len(err.Error()), 300)
	}
	assert.ErrorIs(t, checkName("caf\xe9", u1), ErrNameText)
}

func TestSafeFileName(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf.zip":  "report.pdf.zip",
		"日本 1.zip":        "日本 1.zip",
		".hidden":         ".hidden",
		"":                "archive.zip",
		".":               "archive.zip",
		"..":              "archive.zip",
		"../../x":         "archive.zip",
		"a/b":             "archive.zip",
		`C:\x\report.zip`: "archive.zip",
		"/":               "archive.zip",
		"x/..":            "archive.zip",
		"a\x00b":          "archive.zip",
		"a\nb":            "archive.zip",
		"\x1b[2J.zip":     "archive.zip",
		"gnp\u202efdp":    "archive.zip",
		"\xff":            "archive.zip",

		strings.Repeat("x", 251) + ".zip": strings.Repeat("x", 251) + ".zip",
		strings.Repeat("x", 252) + ".zip": "archive.zip",
	} {
		assert.Equal(t, want, safeFileName(name), "%q", name)
	}
	assert.Equal(t, "archive.zip", safeFileName(strings.Repeat("a", 1<<20)))
}

func TestParseID(t *testing.T) {
	for _, s := range []string{u1, "a", "company_home", "A-1.x"} {
		id, err := ParseID(s)
		assert.NoError(t, err)
		assert.EqualValues(t, s, id)
	}
	for _, s := range []string{"", "new", ".", "..", ".a", "-a", "a/b", "a b", "a\x00", "a\n", "ä", strings.Repeat("a", 129), "../../etc"} {
		_, err := ParseID(s)
		assert.ErrorIs(t, err, ErrInvalid, "%q", s)
	}
}
