//go:build race

package share

// raceEnabled: the race detector multiplies memory and time, and crashes in a process
// that has made too many goroutines in bubbles of testing/synctest. So the tests with
// it are smaller.
const raceEnabled = true
