package harness

import (
	"os"
	"testing"
)

// EnvShare says which share of the rows of long tables a run takes: "1" or "2". Without
// it a run takes all.
const EnvShare = "DOWNLOADFS_TEST_SHARE"

// InShare reports whether this run takes a row of a table; if not, it logs that. make
// test runs everything twice, with the race detector and on one processor. A row that
// costs much, and that is about a tool or an answer rather than about what runs at once,
// is in one of the two.
func InShare(t testing.TB, row int, name string) bool {
	t.Helper()
	switch share := os.Getenv(EnvShare); share {
	case "":
		return true
	case "1", "2":
		if (share == "1") == (row%2 == 0) {
			return true
		}
		t.Logf("%s: in the other share", name)
		return false
	default:
		t.Fatalf("%s is %q, not 1 or 2", EnvShare, share)
		return false
	}
}
