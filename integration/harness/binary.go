package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// EnvBinary names a downloadfs binary to test instead of building one.
const EnvBinary = "DOWNLOADFS_TEST_BINARY"

var binary string

// Main builds the binary once, runs the tests and exits. With the race detector on,
// or the build tag portable, the binary has it too.
func Main(m *testing.M) {
	os.Exit(mainCode(m))
}

func mainCode(m *testing.M) int {
	dir, err := os.MkdirTemp("", "downloadfs-test-")
	if err == nil {
		defer os.RemoveAll(dir) // holds the binary only, never a mount
		// An ordinary user runs the binary too.
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
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
	// Go would ask git for the version, and fail in a clone that another user owns.
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if Race {
		args = append(args, "-race")
	}
	if Portable {
		args = append(args, "-tags", "portable")
	}
	cmd := exec.Command("go", append(args, "downloadfs/cmd/downloadfs")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return os.Chmod(binary, 0o755)
}

// Binary returns the path of the binary under test.
func Binary() string { return binary }
