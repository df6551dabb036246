package list

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

const (
	u1 = "11111111-1111-4111-8111-111111111111"
	u2 = "22222222-2222-4222-8222-222222222222"
	u3 = "abcdef01-2345-6789-abcd-EF0123456789"
)

// parseList writes text in pieces of n bytes.
func parseList(text string, n int) (download.List, error) {
	var lp Parser
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		if _, err := lp.Write([]byte(piece)); err != nil {
			return download.List{}, err
		}
	}
	return lp.Finish()
}

// entries describes a list in short.
func entries(l download.List) []string {
	all := []string{}
	for _, e := range l.Entries {
		all = append(all, string(e.Node)+e.Path)
	}
	return all
}

// Proves S-1.
func TestListAccepts(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"blank", " \r\n\t\n,,\n", nil},
		{"only comments", "# a\n  # b {\n", nil},
		{"one id", u1, []string{u1}},
		{"ids by any separator", u1 + " " + u2 + "," + u3 + "\n", []string{u1, u2, u3}},
		{"CRLF", u1 + "\r\n" + u2 + "\r\n", []string{u1, u2}},
		{"byte order mark", "\uFEFF" + u1 + "\n", []string{u1}},
		{"no-break space", u1 + "\u00a0" + u2, []string{u1, u2}},
		{"duplicates", u1 + "\n" + u2 + "\n" + u1 + "\n/a\n/a\n", []string{u1, u2, "/a"}},
		{"comments", "# first\n" + u1 + " # one\n" + u2 + ",# two\n", []string{u1, u2}},
		{"version", u1 + ";1.0\n" + u1 + "\n" + u2 + ";12", []string{u1 + ";1.0", u2 + ";12"}},
		{"NodeRef", "workspace://SpacesStore/" + u1, []string{u1}},
		{"NodeRef that is no UUID", "workspace://SpacesStore/company_home.1", []string{"company_home.1"}},
		{"NodeRef and id are one", "workspace://SpacesStore/" + u1 + " " + u1, []string{u1}},

		{"Share", "https://h/share/page/document-details?nodeRef=workspace://SpacesStore/" + u1, []string{u1}},
		{"Share, escaped", "https://h/share/page/site/x/document-details?a=b&nodeRef=workspace%3A%2F%2FSpacesStore%2F" + u1 + "&c=d", []string{u1}},
		{"Share, escaped twice", "https://h/login?to=nodeRef%3Dworkspace%253A%252F%252FSpacesStore%252F" + u1, []string{u1}},
		{"Share content", "http://h:8080/share/proxy/alfresco/api/node/content/workspace/SpacesStore/" + u1 + "/r%20q.pdf?a=true", []string{u1}},
		{"API", "HTTP://h/alfresco/api/-default-/public/alfresco/versions/1/nodes/" + u1 + "/content", []string{u1}},
		{"web client, folder", "https://h/workspace/#/libraries/" + u1, []string{u1}},
		{"web client, file in folder", "https://h/workspace/#/libraries/" + u1 + "/(viewer:view/" + u2 + ")", []string{u2}},
		{"web client, plain", "https://h/workspace/(viewer:view/" + u2 + ")", []string{u2}},
		{"web client, with query", "https://h/#/personal-files/" + u1 + "?location=%2Flibraries", []string{u1}},
		{"nodeRef in the fragment", "https://h/#/x?nodeRef=workspace://SpacesStore/" + u1, []string{u1}},
		{"UUID host", "https://" + u1 + ".example/nodes/" + u2, []string{u2}},

		{"path", "/Sites/x/documentLibrary/My report.pdf\n", []string{"/Sites/x/documentLibrary/My report.pdf"}},
		{"path keeps its signs", "  /a, b #1; {x}.pdf  \r\n" + u1, []string{"/a, b #1; {x}.pdf", u1}},
		{"path in UTF-8", "/Übung/日本語.txt", []string{"/Übung/日本語.txt"}},
		{"aliases", "-root-/a b\n-my-/c\n-shared-/d\n-my-\n-root-\n", []string{"-root-/a b", "-my-/c", "-shared-/d", "-my-", "-root-"}},
		{"root", "/", []string{"/"}},

		{"JSON", `{"nodeIds":["` + u1 + `", "` + u2 + `"]}` + "\n", []string{u1, u2}},
		{"JSON, one string", ` { "nodeIds" : "` + u1 + `" } `, []string{u1}},
		{"JSON, nothing", `{"nodeIds":[]}`, nil},
		{"JSON, duplicates", `{"nodeIds":["` + u1 + `","` + u1 + `"]}`, []string{u1}},
		{"JSON, escapes", `{"nodeIds":["\u0031` + u1[1:] + `","\/a b\u00e4\ud83d\ude00\"\\"]}`, []string{u1, "/a bä😀\"\\"}},
		{"JSON, NodeRef and path", `{"nodeIds":["workspace://SpacesStore/` + u1 + `","-my-/a, b"]}`, []string{u1, "-my-/a, b"}},
		{"JSON after a comment", "# mine\n\n{\n\"nodeIds\": [\n\"" + u1 + "\"\n]\n}\n", []string{u1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 7, 1 << 20} {
				l, err := parseList(test.text, n)
				require.NoError(t, err, "in pieces of %d", n)
				assert.Equal(t, append([]string{}, test.want...), entries(l))
			}
		})
	}
}

// Proves S-5, S-237.
func TestListRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text string
		line       int
		names      string // in the error text
	}{
		{"a word", "nonsense", 1, `"nonsense"`},
		{"a word later", u1 + "\n" + u2 + " nonsense\n", 2, "nonsense"},
		{"half an id", "1111-2222\n", 1, "1111-2222"},
		{"a long id", u1 + "1", 1, u1},
		{"two ids without separator", u1 + ";" + u2, 1, u1},
		{"working copy", u1 + ";pwc", 1, "working copy"},
		{"another store", "archive://SpacesStore/" + u1, 1, "archive"},
		{"unsafe NodeRef", "workspace://SpacesStore/../x", 1, "SpacesStore"},
		{"empty NodeRef", "workspace://SpacesStore/\n", 1, "SpacesStore"},
		{"URL without node", "https://example.org/x\n", 1, "no node id"},
		{"URL with a NodeRef of another kind", "https://h/x?nodeRef=../../etc\n", 1, "no node id"},
		{"another scheme", "ftp://h/" + u1 + "\n", 1, "ftp"},
		{"path after an id", u1 + " /Sites/x\n", 1, `"/Sites/x": a path must stand on a line of its own`},
		{"path after a comma", ", /Sites/x", 1, `"/Sites/x": a path must stand on a line of its own`},
		{"alias after an id", u1 + " -my-/x\n", 1, `"-my-/x": a path must stand on a line of its own`},
		{"relative path", "Sites/x\n", 1, `"Sites/x": it is not a node id, NodeRef or URL, and a path starts with /`},
		{"name of a file", "report.pdf\n", 1, "a path starts with /"},
		{"unknown alias", "-files-/x\n", 1, "-files-"},
		{"alias with a tail", "-my-x\n", 1, "-my-x"},
		{"tab in a path", "/a\tb\n", 1, "control"},
		{"CR in a path", "/a\rb\n", 1, "control"},
		{"NUL", u1 + "\n\x00", 2, "NUL"},
		{"NUL in a comment", "# \x00", 1, "NUL"},
		{"not UTF-8", "/a\xff\n", 1, "UTF-8"},
		{"cut UTF-8", "/a\xe2\x82", 1, "UTF-8"},
		{"UTF-16", "\xff\xfe1\x001\x00", 1, "UTF-8"},
		{"JSON after an id", u1 + "\n{}", 2, "{"},
		{"JSON array", `["` + u1 + `"]`, 1, "["},
		{"JSON, no property", `{}`, 1, "JSON"},
		{"JSON, unknown property", `{"nodes":[]}`, 1, "nodeIds"},
		{"JSON, second property", `{"nodeIds":[],"x":1}`, 1, "nodeIds"},
		{"JSON, number", `{"nodeIds":[1]}`, 1, "JSON"},
		{"JSON, null", `{"nodeIds":null}`, 1, "JSON"},
		{"JSON, nested", `{"nodeIds":[["` + u1 + `"]]}`, 1, "JSON"},
		{"JSON, bad entry", "{\"nodeIds\":[\n\"nonsense\"]}", 2, "nonsense"},
		{"JSON, empty entry", `{"nodeIds":[""]}`, 1, "empty"},
		{"JSON, two in one", `{"nodeIds":["` + u1 + ` ` + u2 + `"]}`, 1, u1},
		{"JSON, trailing comma", `{"nodeIds":["` + u1 + `",]}`, 1, "JSON"},
		{"JSON, more after it", `{"nodeIds":[]} ` + u1, 1, "JSON"},
		{"JSON, two", `{"nodeIds":[]}{"nodeIds":[]}`, 1, "JSON"},
		{"JSON, cut", `{"nodeIds":["` + u1 + `"`, 1, "not complete"},
		{"JSON, bad escape", `{"nodeIds":["\x"]}`, 1, "malformed"},
		{"JSON, bad digit", "{\"nodeIds\":[\"\\u\x10\x10\x10\x10\"]}", 1, "malformed"},
		{"JSON, half a pair", `{"nodeIds":["/\ud83d"]}`, 1, "malformed"},
		{"JSON, wrong pair", `{"nodeIds":["/\ud83d\u0041"]}`, 1, "malformed"},
		{"JSON, low half", `{"nodeIds":["/\ude00"]}`, 1, "malformed"},
		{"JSON, NUL", `{"nodeIds":["/\u0000"]}`, 1, "malformed"},
		{"JSON, newline in a path", `{"nodeIds":["/a\nb"]}`, 1, "control"},
		{"endless word", strings.Repeat("workspace", 1<<15), 1, "workspace"},
		{"endless path", "/" + strings.Repeat("a", 1<<16), 1, "too long"},
		{"endless URL", "https://" + strings.Repeat("a", 1<<16), 1, "too long"},
		{"endless JSON string", `{"nodeIds":["/` + strings.Repeat("a", 1<<16), 1, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseList(test.text, 1<<20)
			require.ErrorIs(t, err, download.ErrInvalid)
			assert.NotContains(t, err.Error(), "invalid request")
			assert.Contains(t, err.Error(), fmt.Sprintf("line %d:", test.line))
			assert.Contains(t, err.Error(), test.names)
			assert.Contains(t, err.Error(), "workspace://SpacesStore/ID", "says what is accepted")
			assert.Less(t, len(err.Error()), 700)
			assert.NotContains(t, err.Error(), "\n")
			for _, n := range []int{1, 3} {
				_, err := parseList(test.text, n)
				require.ErrorIs(t, err, download.ErrInvalid, "in pieces of %d", n)
				assert.Contains(t, err.Error(), fmt.Sprintf("line %d:", test.line))
			}
		})
	}
}

// An entry that cannot become right fails the write that brings it, even if no
// separator has followed yet.
// Proves S-5.
func TestListFailsInWrite(t *testing.T) {
	for _, text := range []string{
		"nonsense", "x", "1111-", u1 + "0", u1 + ";p", u1 + ";1.x", "workspace:/x", "workspace://Other",
		"workspace://SpacesStore/.", "httq", "ftp://", "-files", "-my-x", "/a\tb", "\xff", "\x00",
		"[", "{x", `{"x`, `{"nodeIds":1`, `{"nodeIds":["non`, `{"nodeIds":["\q`,
		`{"nodeIds":[]}x`,
	} {
		var lp Parser
		_, err := lp.Write([]byte(text))
		assert.ErrorIs(t, err, download.ErrInvalid, "%q", text)
		_, again := lp.Write([]byte(u1))
		assert.Equal(t, err, again, "it stays failed")
		_, again = lp.Finish()
		assert.Equal(t, err, again)
	}
	for _, text := range []string{
		"1", u1, u1 + ";", u1 + ";1.", "w", "workspace://Sp", "workspace://SpacesStore/a", "h", "HTTPS", "https://h",
		"-", "-sh", "-my-", "-my- ", "/a\t", "/a\r", "/ä"[:2], "{", `{"`, `{"nodeI`, `{"nodeIds":["1`, `{"nodeIds":["\`, "#\xc3",
	} {
		var lp Parser
		_, err := lp.Write([]byte(text))
		assert.NoError(t, err, "%q", text)
	}
}

// Proves S-4.
func TestListTooLong(t *testing.T) {
	line := u1 + "\n"
	full := strings.Repeat(line, download.MaxListBytes/len(line)+1)
	fits := full[:download.MaxListBytes/len(line)*len(line)]
	l, err := parseList(fits+strings.Repeat(" ", download.MaxListBytes-len(fits)), 64<<10)
	require.NoError(t, err)
	assert.Len(t, l.Entries, 1)
	for _, n := range []int{1000, 64 << 10, len(full)} {
		_, err = parseList(full, n)
		require.ErrorIs(t, err, download.ErrListTooLong)
	}
}

// A URL can carry a ticket or a password: an error must not.
// Proves S-66.
func TestListErrorKeepsSecrets(t *testing.T) {
	for _, text := range []string{
		"https://h/alfresco/x?alf_ticket=TICKET_secret\n",
		"https://h/alfresco/x;jsessionid=secret\n",
		"https://user:secret@h/x\n",
	} {
		_, err := parseList(text, 1<<20)
		require.ErrorIs(t, err, download.ErrInvalid)
		assert.NotContains(t, err.Error(), "secret")
		assert.Contains(t, err.Error(), "https://")
	}
}

func TestListAfterFinish(t *testing.T) {
	var lp Parser
	_, err := lp.Write([]byte(u1))
	require.NoError(t, err)
	for range 2 {
		l, err := lp.Finish()
		require.NoError(t, err)
		assert.Equal(t, []string{u1}, entries(l))
	}
	_, err = lp.Write([]byte(u2))
	assert.ErrorIs(t, err, download.ErrInvalid)
}

// The result is the same however a list is cut into pieces, and every entry of it is
// safe to send.
func FuzzList(f *testing.F) {
	for _, s := range []string{
		"", u1, u1 + "\r\n# c\n" + u2 + ";1.0,", "\uFEFF/a b #1\n-my-\n", "workspace://SpacesStore/x y",
		"https://h/#/libraries/" + u1 + "/(viewer:view/" + u2 + ")",
		"https://h/?nodeRef=workspace%3A%2F%2FSpacesStore%2F" + u1,
		`{"nodeIds":["` + u1 + `","\u002fa\ud83d\ude00"]}`, "nonsense", "\xff", "/\xe2\x82\xac\n", "-my-/\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		whole, wholeErr := parseList(string(text), len(text)+1)
		for _, n := range []int{1, int(cut) + 1} {
			l, err := parseList(string(text), n)
			require.Equal(t, wholeErr == nil, err == nil, "pieces of %d: %v, whole: %v", n, err, wholeErr)
			require.Equal(t, whole, l)
			if err != nil {
				require.True(t, errors.Is(err, download.ErrInvalid), err)
				require.Equal(t, lineOf(wholeErr), lineOf(err))
			}
		}
		seen := make(map[string]bool)
		for _, e := range whole.Entries {
			require.NotEqual(t, e.Node == "", e.Path == "", "exactly one is set")
			key := e.Path
			if e.Node != "" {
				require.True(t, e.Node.Valid(), "%q", e.Node)
				key = string(e.Node.Bare())
			} else {
				require.False(t, strings.ContainsFunc(e.Path, unicode.IsControl), "%q", e.Path)
			}
			require.False(t, seen[key], "duplicate %q", key)
			seen[key] = true
		}
	})
}

func lineOf(err error) string {
	line, _, _ := strings.Cut(err.Error(), ":")
	return line
}

func BenchmarkList(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "%08x-1111-4111-8111-111111111111\n", i)
	}
	list := []byte(text.String())
	b.SetBytes(int64(len(list)))
	b.ReportAllocs()
	for b.Loop() {
		var lp Parser
		for p := list; len(p) > 0; {
			n := min(len(p), 128<<10)
			if _, err := lp.Write(p[:n]); err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
		l, err := lp.Finish()
		if err != nil || len(l.Entries) != len(list)/37 {
			b.Fatal(len(l.Entries), err)
		}
	}
}
