//go:build !race

package share

// raceEnabled says that the race detector is on; see race_test.go.
const raceEnabled = false
