// Package conventions_test holds what must be true of the source as a whole:
// which package may import which, that SEMANTICS.md names real tests, and that
// messages have one wording for one thing.
package conventions_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "downloadfs"

// arrows says which of our own packages a package may import. A package that is
// not listed may not exist, so that a new one finds its place here.
var arrows = map[string][]string{
	"download":                {"download/schedule", "download/journal", "download/split", "zipfile"},
	"download/split":          {},
	"download/schedule":       {},
	"download/journal":        {},
	"download/list":           {"download"},
	"download/downloadtest":   {"download"},
	"client":                  {"download"},
	"login":                   {"client", "download"},
	"fetch":                   {"download", "zipfile"},
	"config":                  {},
	"cache":                   {"download"},
	"share":                   {"download"},
	"share/cloud":             {"share"},
	"share/storetest":         {"share"},
	"fs":                      {"download", "download/list", "zipfile"},
	"meter":                   {"download"},
	"stats":                   {"cache", "download"},
	"metrics":                 {"stats"},
	"zipfile":                 {},
	"repository":              {},
	"cmd/downloadfs":          {"download", "client", "cache", "share", "share/cloud", "fs", "repository", "config", "login", "fetch", "download/list", "meter", "stats", "metrics"},
	"integration":             {"integration/harness", "integration/faults", "integration/idp", "integration/ports"},
	"integration/bench":       {"integration/harness", "integration/faults"},
	"integration/conventions": {},
	"integration/faults":      {"integration/ports"},
	"integration/harness":     {"integration/ports"},
	"integration/idp":         {},
	"integration/kernels":     {},
	"integration/ports":       {},
}

// keepers are imports that only the listed packages may have.
var keepers = map[string][]string{
	"github.com/hanwen/go-fuse/v2": {"fs"},
	"filippo.io/age":               {"share"},
	"github.com/spf13":             {"cmd/downloadfs"},
	"github.com/prometheus":        {"metrics"},
	"gocloud.dev":                  {"share/cloud"},
	"flag":                         {"cmd/downloadfs", "integration", "integration/bench", "integration/harness", "integration/kernels"},
	"net/http":                     {"client", "login", "metrics", "share/cloud", "integration/idp", "repository", "cmd/downloadfs", "integration", "integration/bench", "integration/faults", "integration/harness"},
	"testing":                      {"download/downloadtest", "share/storetest", "integration/idp", "integration", "integration/bench", "integration/faults", "integration/harness", "integration/ports"},
}

// domainImports are all that a room of the domain may need besides the standard
// library and our own.
var domainImports = map[string][]string{
	"download":          {"golang.org/x/sync"},
	"download/journal":  {"go.etcd.io/bbolt"},
	"download/list":     {},
	"download/schedule": {},
	"download/split":    {},
}

type listedPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

// list returns our packages as they are built for an operating system.
func list(t *testing.T, goos string) map[string]listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"/...")
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	packages := make(map[string]listedPackage)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else {
			require.NoError(t, err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

// TestStoresAreTagged: who shares no object store has no SDK in the program. They would
// cost each mount memory (see docs/share.md).
func TestStoresAreTagged(t *testing.T) {
	deps := func(tags string) string {
		out, err := exec.Command("go", "list", "-deps", "-tags", tags, module+"/cmd/downloadfs").Output()
		require.NoError(t, err)
		return string(out)
	}
	for _, sdk := range []string{"gocloud.dev", "github.com/aws/", "github.com/Azure/", "cloud.google.com/"} {
		assert.NotContains(t, deps(""), sdk)
		assert.Contains(t, deps("stores"), sdk)
	}
	one := deps("s3")
	assert.Contains(t, one, "github.com/aws/")
	assert.NotContains(t, one, "github.com/Azure/azure-sdk-for-go/sdk/storage")
	assert.NotContains(t, one, "cloud.google.com/go/storage")
}

// within reports whether path is one of roots or below one.
func within(path string, roots []string) bool {
	for _, root := range roots {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		packages := list(t, goos)
		require.NotEmpty(t, packages)
		for name, p := range packages {
			allowed, known := arrows[name]
			assert.True(t, known, "package %s has no place in the design", name)
			for _, imported := range p.Imports {
				if own, ok := strings.CutPrefix(imported, module+"/"); ok {
					assert.Contains(t, allowed, own, "%s: %s must not import %s", goos, name, own)
					continue
				}
				for path, may := range keepers {
					if within(imported, []string{path}) {
						assert.Contains(t, may, name, "%s: only those may import %s", goos, imported)
					}
				}
				standard := !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
				if may, ok := domainImports[name]; ok && !standard {
					assert.True(t, within(imported, may), "%s must not import %s", name, imported)
				}
			}
		}
	}
}

func TestOnlyTheCommandReadsTheEnvironment(t *testing.T) {
	for name, p := range list(t, "linux") {
		if name == "cmd/downloadfs" || strings.HasPrefix(name, "integration") {
			continue
		}
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(p.Dir + "/" + file)
			require.NoError(t, err)
			for _, call := range []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.Args"} {
				assert.NotContains(t, string(text), call, "%s/%s", name, file)
			}
		}
	}
}

// TestNoTemplates: no way leads from the program to text/template, with which the linker
// must keep every exported method: 4 MB of program, a part of it in memory.
func TestNoTemplates(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "downloadfs")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, module+"/cmd/downloadfs").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command("go", "tool", "nm", binary).Output()
	require.NoError(t, err)
	has := func(symbol string) bool { return strings.Contains(string(out), " "+symbol+"\n") }
	require.True(t, has("main.run"))
	require.False(t, has("text/template.(*Template).Execute"), "text/template is used; 'go build -ldflags=-dumpdep' says by whom")
}
