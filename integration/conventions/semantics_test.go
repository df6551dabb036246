package conventions_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the module's directory.
const root = "../.."

const semantics = root + "/SEMANTICS.md"

// After a change of SEMANTICS.md: go test ./integration/conventions -run Semantics -update
var update = flag.Bool("update", false, "number new promises in SEMANTICS.md and write the numbers above the tests")

var (
	// A test as SEMANTICS.md names it: `fs.TestErrno`, with the directory that it is in.
	namedTest = regexp.MustCompile("`([a-z/]+\\.(?:Test|Fuzz|Benchmark)\\w+)`")
	// A promise is an item of a list, with its number.
	promiseStart = regexp.MustCompile(`(?m)^- (?:\*\*S-(\d+)\*\* )?`)
	// A test names the promises that it proves in the last line of its comment.
	proves = regexp.MustCompile(`^// Proves (S-\d+(?:, S-\d+)*)\.$`)
)

// testFunc is where a test function is.
type testFunc struct {
	file string
	line int    // of the word func, from 1
	says string // its line "// Proves …", or ""
}

// tests returns all test functions by "directory.Function".
func tests(t *testing.T) map[string]testFunc {
	t.Helper()
	found := make(map[string]testFunc)
	require.NoError(t, filepath.WalkDir(root, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			found[filepath.ToSlash(dir)+"."+f.Name.Name] = testFunc{path, positions.Position(f.Pos()).Line, saysProves(f.Doc)}
		}
		return nil
	}))
	return found
}

func saysProves(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	last := doc.List[len(doc.List)-1].Text
	if !proves.MatchString(last) {
		return ""
	}
	return last
}

// promise is one item of SEMANTICS.md.
type promise struct {
	number int // 0: none yet
	tests  []string
}

// promises returns the items before the section on what is not promised.
func promises(t *testing.T, text string) []promise {
	t.Helper()
	text, _, ok := strings.Cut(text, "\n## What is not promised")
	require.True(t, ok, "SEMANTICS.md has no section on what is not promised")
	var all []promise
	for _, item := range listItems(text) {
		number, _ := strconv.Atoi(promiseStart.FindStringSubmatch(item)[1])
		p := promise{number: number}
		for _, m := range namedTest.FindAllStringSubmatch(item, -1) {
			p.tests = append(p.tests, m[1])
		}
		assert.NotEmpty(t, p.tests, "a promise without a test: %s", item)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

// listItems returns the items of the lists, continuation lines included.
func listItems(text string) []string {
	var items []string
	open := false
	for line := range strings.Lines(text) {
		switch {
		case promiseStart.MatchString(line):
			items, open = append(items, line), true
		case open && strings.HasPrefix(line, "  "):
			items[len(items)-1] += line
		default:
			open = false
		}
	}
	return items
}

// proofs returns what each test must say that it proves.
func proofs(all []promise) map[string]string {
	byTest := make(map[string][]int)
	for _, p := range all {
		for _, name := range p.tests {
			byTest[name] = append(byTest[name], p.number)
		}
	}
	lines := make(map[string]string)
	for name, numbers := range byTest {
		slices.Sort(numbers)
		var words []string
		for _, n := range slices.Compact(numbers) {
			words = append(words, fmt.Sprintf("S-%d", n))
		}
		lines[name] = "// Proves " + strings.Join(words, ", ") + "."
	}
	return lines
}

// Each item of a list in SEMANTICS.md is a promise. It has a number of its own and
// names, in full, at least one test that exists, and that test's comment names the
// number.
func TestSemanticsNamesRealTests(t *testing.T) {
	if *update {
		updateSemantics(t)
	}
	data, err := os.ReadFile(semantics)
	require.NoError(t, err)
	text := string(data)
	found := tests(t)
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		assert.Contains(t, found, m[1], "SEMANTICS.md names a test that does not exist")
	}
	all := promises(t, text)
	seen := make(map[int]bool)
	for _, p := range all {
		assert.NotZero(t, p.number, "the promise of %v has no number; run this test with -update", p.tests)
		assert.False(t, seen[p.number], "S-%d is there twice; run this test with -update", p.number)
		seen[p.number] = true
	}
	says := proofs(all)
	for name, f := range found {
		assert.Equal(t, says[name], f.says, "%s in %s must say which promises it proves; run this test with -update", name, f.file)
	}
}

// updateSemantics numbers the promises that have no number, or another's, and
// writes the numbers above the tests.
func updateSemantics(t *testing.T) {
	data, err := os.ReadFile(semantics)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(data), "\n## What is not promised")
	require.True(t, ok)
	highest := 0
	for _, m := range promiseStart.FindAllStringSubmatch(head, -1) {
		number, _ := strconv.Atoi(m[1])
		highest = max(highest, number)
	}
	seen := map[int]bool{0: true}
	head = promiseStart.ReplaceAllStringFunc(head, func(start string) string {
		number, _ := strconv.Atoi(promiseStart.FindStringSubmatch(start)[1])
		if seen[number] {
			highest++
			number = highest
		}
		seen[number] = true
		return fmt.Sprintf("- **S-%d** ", number)
	})
	text := head + "\n## What is not promised" + rest
	require.NoError(t, os.WriteFile(semantics, []byte(text), 0o644))

	says := proofs(promises(t, text))
	byFile := make(map[string]map[int]string) // line of func → what to say there
	for name, f := range tests(t) {
		if says[name] != f.says {
			if byFile[f.file] == nil {
				byFile[f.file] = make(map[int]string)
			}
			byFile[f.file][f.line] = says[name]
		}
	}
	for file, lines := range byFile {
		sayProves(t, file, lines)
	}
}

// sayProves puts a line before each of the given lines of a file, in place of the
// one that says the same kind of thing there; an empty one only takes that away.
func sayProves(t *testing.T, file string, lines map[int]string) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := strings.Split(string(data), "\n")
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(lines))) {
		from := at - 1 // the line itself
		if proves.MatchString(text[from-1]) {
			from--
		}
		var say []string
		if lines[at] != "" {
			say = []string{lines[at]}
		}
		text = slices.Replace(text, from, at-1, say...)
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(text, "\n")), 0o644))
}
