package integration

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// envGoZip makes the test binary a Go program that reads a zip with archive/zip.
const envGoZip = "DOWNLOADFS_TEST_GO_ZIP"

// goZip prints the SHA-256 and the name of every entry of the zip at path, as
// sha256sum does, and returns the exit code.
func goZip(path string) int {
	if err := printEntries(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func printEntries(path string) error {
	r, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		sum := sha256.New()
		_, err = io.Copy(sum, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		fmt.Printf("%x  %s\n", sum.Sum(nil), f.Name)
	}
	return nil
}

// self returns a copy of the test binary that every user can run.
func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(harness.Dir(t, harness.User{}), "integration.test")
	// Not by this process: what another test starts meanwhile would have the file open for
	// writing, for a moment, and a file that somebody writes cannot be run.
	harness.Run(t, harness.Timeout, "install", "-m", "755", exe, path).OK(t)
	return path
}
