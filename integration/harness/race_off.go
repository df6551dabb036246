//go:build !race

package harness

// Race says that tests, and so the binary, run with the race detector.
const Race = false

var raceEnv []string
