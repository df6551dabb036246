//go:build !portable

package harness

// Portable says that tests, and so the binary, make the decisions of systems other
// than Linux: nothing is known of a caller, and no /proc is read for it.
const Portable = false
