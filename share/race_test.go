//go:build race

package share

import "testing"

// What costs most is smaller with the race detector: how many downloads are many, and
// of how many cases of encryption one is tried.
const (
	manyListed = 1_000
	oneOf      = 9
)

// bubble skips the test: the race detector crashes in a process that makes many
// goroutines in bubbles (github.com/golang/go/issues/78156), here in one run of four.
// make test runs these tests without it, and TestShare* of integration run the binary
// with it.
func bubble(t *testing.T, _ func(t *testing.T)) {
	t.Helper()
	t.Skip("the race detector crashes in large bubbles; run without -race")
}
