package conventions_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the module's directory.
const root = "../.."

var (
	// A test as SEMANTICS.md names it: `fs.TestErrno`, with the directory that it is in.
	namedTest = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz|Benchmark)\\w+)`")
	// A promise is an item of a list.
	promise = regexp.MustCompile(`^- `)
)

// tests returns all test functions as "directory.Function".
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(root, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				found[filepath.ToSlash(dir)+"."+f.Name.Name] = true
			}
		}
		return nil
	}))
	return found
}

// Each item under a heading of SEMANTICS.md is a promise and names, in full, at
// least one test that exists. The sections "What is not promised" and below are
// not promises.
func TestSemanticsNamesRealTests(t *testing.T) {
	text, err := os.ReadFile(root + "/SEMANTICS.md")
	require.NoError(t, err)
	promises, _, ok := strings.Cut(string(text), "\n## What is not promised")
	require.True(t, ok, "SEMANTICS.md has no section on what is not promised")
	all := tests(t)
	for _, m := range namedTest.FindAllStringSubmatch(string(text), -1) {
		assert.True(t, all[m[1]+"."+m[2]], "SEMANTICS.md names %s.%s, which does not exist", m[1], m[2])
	}
	items := 0
	for _, item := range listItems(promises) {
		items++
		assert.Regexp(t, namedTest, item, "a promise without a test")
	}
	assert.NotZero(t, items)
}

// listItems returns the items of the lists, continuation lines included.
func listItems(text string) []string {
	var items []string
	open := false
	for line := range strings.Lines(text) {
		switch {
		case promise.MatchString(line):
			items, open = append(items, line), true
		case open && strings.HasPrefix(line, "  "):
			items[len(items)-1] += line
		default:
			open = false
		}
	}
	return items
}
