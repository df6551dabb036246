//go:build race

package cache

// raceEnabled: the race detector multiplies memory and time.
const raceEnabled = true
