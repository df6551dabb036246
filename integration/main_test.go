// Package integration tests the built binary on real mounts with real tools.
package integration

import (
	"os"
	"testing"

	"downloadfs/integration/harness"
)

// envPOSIX makes the test binary a tester of the directory it names.
const envPOSIX = "DOWNLOADFS_TEST_POSIX"

// TestMain builds the binary under test and runs the tests. Some of them start
// this program again, as an ordinary Go program that reads a mount.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envGoReader) != "", os.Getenv(envPOSIX) != "":
		os.Exit(m.Run())
	case os.Getenv(envGoZip) != "":
		os.Exit(goZip(os.Getenv(envGoZip)))
	case os.Getenv(envStarter) != "":
		os.Exit(starter(os.Getenv(envStarter)))
	case os.Getenv(envBeliever) != "":
		os.Exit(believe(os.Getenv(envBeliever)))
	}
	harness.Main(m)
}

// asUsers runs a test as root, mounting directly, and as an ordinary user. Call
// t.Parallel before it as well as in test, or no other test runs meanwhile.
func asUsers(t *testing.T, test func(t *testing.T, u harness.User)) {
	t.Run("root", func(t *testing.T) {
		if !(harness.User{}).Root() {
			t.Skip("not running as root")
		}
		test(t, harness.User{})
	})
	t.Run("ordinary user", func(t *testing.T) { test(t, harness.Ordinary(t)) })
}
