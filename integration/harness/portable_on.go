//go:build portable

package harness

// Portable says that the tests, and so the binary, decide as on systems other than
// Linux: nothing is known about a caller, and /proc is not read for it.
const Portable = true
