package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// EnvBinary names a downloadfs binary to test instead of building one.
const EnvBinary = "DOWNLOADFS_TEST_BINARY"

var (
	binary  string
	toolDir string // where programs are built
)

// Main builds the binary once, runs the tests and exits. With the race detector on,
// or the build tag portable, the binary has it too.
func Main(m *testing.M) {
	os.Exit(mainCode(m, build))
}

// MainOfTools is Main for tests that start no downloadfs, but servers of
// integration/stores.
func MainOfTools(m *testing.M) {
	os.Exit(mainCode(m, func(string) error { return nil }))
}

func mainCode(m *testing.M, build func(dir string) error) int {
	dir, err := os.MkdirTemp("", "downloadfs-test-")
	if err == nil {
		defer os.RemoveAll(dir) // holds the binary only, never a mount
		// An ordinary user runs the binary too.
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		toolDir = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	if binary = os.Getenv(EnvBinary); binary != "" {
		return nil
	}
	binary = filepath.Join(dir, "downloadfs")
	cmd := exec.Command("go", buildArgs(binary, "")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", cmd.Args, err, out)
	}
	return os.Chmod(binary, 0o755)
}

// buildArgs are go's arguments to build the binary, with a tag unless that is empty.
func buildArgs(path, tag string) []string {
	// Go would ask git for the version, and fail in a clone that another user owns.
	args := []string{"build", "-buildvcs=false", "-o", path}
	if Race {
		args = append(args, "-race")
	}
	if Portable {
		tag += " portable"
	}
	if tag != "" {
		args = append(args, "-tags", strings.ReplaceAll(strings.TrimSpace(tag), " ", ","))
	}
	return append(args, "downloadfs/cmd/downloadfs")
}

// Binary returns the path of the binary under test.
func Binary() string { return binary }
