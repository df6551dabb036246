package harness

import "testing"

// Lost skips what is not promised where nothing is known of a caller, as
// SEMANTICS.md says under macOS.
func Lost(t testing.TB, why string) {
	t.Helper()
	if Portable {
		t.Skip("not promised where nothing is known of a caller: " + why)
	}
}
