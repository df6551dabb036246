//go:build !race

package zipfile

// raceEnabled: the race detector makes unpacking ten times slower. make test runs
// everything without it too.
const raceEnabled = false
