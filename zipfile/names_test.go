package zipfile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unicodePath(raw, path string) string {
	b := binary.LittleEndian.AppendUint32([]byte{1}, crc32.ChecksumIEEE([]byte(raw)))
	return field(extraUnicodePath, string(b)+path)
}

// Proves S-137.
func TestNames(t *testing.T) {
	long := strings.Repeat("日", 200)
	tests := []struct {
		name string
		made made
		want string
	}{
		{"ASCII", made{name: "a.txt"}, "a.txt"},
		{"flagged", made{name: "Übersicht 😀.txt", flags: flagUTF8}, "Übersicht 😀.txt"},
		{"not flagged", made{name: "\x9abersicht"}, "Übersicht"},
		{"not flagged, from Unix", made{name: "Übersicht", madeBy: madeOnUnix}, "Übersicht"},
		{"not flagged, from a Mac", made{name: "Übersicht", madeBy: madeOnMacOS}, "Übersicht"},
		{"not flagged and no UTF-8, from Unix", made{name: "\x9abersicht", madeBy: madeOnUnix}, "Übersicht"},
		{"not flagged, UTF-8 by chance", made{name: "Ü"}, "├£"},
		{"all of the code page", made{name: "\x80\xa5\xb0\xe1\xff"}, "ÇÑ░ß\u00a0"},
		{"Unicode path", made{name: "?bersicht", extra: unicodePath("?bersicht", "Übersicht")}, "Übersicht"},
		{"Unicode path of another name", made{name: "new\x9a", extra: unicodePath("old", "Übersicht")}, "newÜ"},
		{"Unicode path that is none", made{name: "a", extra: unicodePath("a", "\xff")}, "a"},
		{"Unicode path besides the flag", made{name: "a", flags: flagUTF8, extra: unicodePath("a", "b")}, "a"},
		{"flagged and no UTF-8", made{name: "a\xff\xfeb", flags: flagUTF8}, "a\ufffd\ufffdb"},
		{"flagged and no UTF-8, with a Unicode path", made{name: "a\xff", flags: flagUTF8, extra: unicodePath("a\xff", "aß")}, "aß"},
		{"decomposed", made{name: "e\u0301", flags: flagUTF8}, "e\u0301"},
		{"control characters", made{name: "a\x00\n\x1f\x7f\u0085", flags: flagUTF8}, "a␀␊␟␡\ufffd"},
		{"absolute", made{name: "/etc/passwd"}, "etc/passwd"},
		{"network", made{name: "//net/share"}, "net/share"},
		{"up", made{name: "../../up"}, "up"},
		{"up and about", made{name: ".././/../up"}, "up"},
		{"up inside", made{name: "a/../../up"}, "a/?/?/up"},
		{"here inside", made{name: "a/./b//c"}, "a/b/c"},
		{"only up", made{name: ".."}, "?"},
		{"only here", made{name: "."}, "?"},
		{"empty", made{name: ""}, "?"},
		{"up at the end", made{name: "a/.."}, "a/?"},
		{"dots", made{name: "..a/.../b."}, "..a/.../b."},
		{"backslash", made{name: `C:\a\b`}, `C:\a\b`},
		{"blanks", made{name: " a "}, " a "},
		{"255 bytes", made{name: strings.Repeat("n", 251) + ".txt"}, strings.Repeat("n", 251) + ".txt"},
		{"too long", made{name: long + ".txt", flags: flagUTF8}, strings.Repeat("日", 83) + ".txt"},
		{"too long, no extension", made{name: long, flags: flagUTF8}, strings.Repeat("日", 85)},
		{"too long, nothing but extension", made{name: "." + long, flags: flagUTF8}, "." + strings.Repeat("日", 84)},
		{"too long by its pictures", made{name: strings.Repeat("\x01", 200) + ".txt"}, strings.Repeat("␁", 83) + ".txt"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.made.data = "x"
			x := readIndex(t, makeZip(test.made))
			all := paths(t, x)
			got := all[len(all)-1]
			assert.Equal(t, test.want, got)
			for part := range strings.SplitSeq(got, "/") {
				assert.LessOrEqual(t, len(part), maxName)
				assert.True(t, utf8.ValidString(part))
			}
		})
	}
}

// Every entry is there, under a name of its own, and names that entries have stay
// theirs.
// Proves S-137.
func TestTwins(t *testing.T) {
	x := readIndex(t, makeZip(
		made{name: "a.txt", data: "1"},
		made{name: "a.txt", data: "2"},
		made{name: "a (2).txt", data: "3"},
		made{name: "a.txt", data: "4"},
		made{name: "a (1).txt", data: "5"},
		made{name: "both", data: "6"},
		made{name: "both/in", data: "7"},
		made{name: "both", data: "8"},
		made{name: "dir/"},
		made{name: "dir/"},
		made{name: "dir/x", data: "9"},
		made{name: "dir", data: "10"},
		made{name: "\x00", data: "11"},
		made{name: "␀", flags: flagUTF8, data: "12"},
	))
	assert.Equal(t, []string{
		"a.txt", "a (3).txt", "a (2).txt", "a (4).txt", "a (1).txt",
		"both (1)", "both/", "both/in", "both (2)",
		"dir/", "dir/x", "dir (1)", "␀", "␀ (1)",
	}, paths(t, x))
	assert.Equal(t, 14, x.Entries())
}

// Proves S-137.
func TestLongTwins(t *testing.T) {
	name := strings.Repeat("ü", 120) + ".jpeg"
	x := readIndex(t, makeZip(made{name: name, flags: flagUTF8}, made{name: name, flags: flagUTF8},
		made{name: strings.Repeat("é", 200), flags: flagUTF8}, made{name: strings.Repeat("é", 201), flags: flagUTF8}))
	all := paths(t, x)
	assert.Equal(t, name, all[0])
	assert.Equal(t, strings.Repeat("ü", 118)+" (1).jpeg", all[1])
	assert.Equal(t, strings.Repeat("é", 127), all[2])
	assert.Equal(t, strings.Repeat("é", 121)+" (1)", all[3])
}

// Names that are chosen to be twins take no longer than others.
func TestManyTwins(t *testing.T) {
	var a archive
	for i := range 40_000 {
		name := "x"
		if i%2 == 1 { // all of them cut to the same
			name = fmt.Sprintf("%s%d", strings.Repeat("y", 300), i)
		}
		a.add(made{name: name})
	}
	b := a.data
	b = append(b, a.directory...)
	x := readIndex(t, endRecord(b, a.records, len(a.directory), len(a.data), ""))
	require.Len(t, paths(t, x), 40_000)
}
