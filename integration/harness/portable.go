package harness

import "testing"

// Lost skips a test of something that is not promised where nothing is known about
// callers, as SEMANTICS.md says under macOS.
func Lost(t testing.TB, why string) {
	t.Helper()
	if Portable {
		t.Skip("not promised where nothing is known of a caller: " + why)
	}
}
