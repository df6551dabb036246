//go:build race

package harness

// Race says that tests, and so the binary, run with the race detector.
const Race = true

// raceEnv keeps the race detector from sleeping for a second at the end of each program
// that is built with it. It would wait for goroutines that are left: a mount tells how many
// there are, and other commands end with their main goroutine.
var raceEnv = []string{"GORACE=atexit_sleep_ms=0"}
