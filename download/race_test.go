//go:build race

package download_test

// tenThousand is a quarter with the race detector, which multiplies time. make test runs
// everything without it too.
const tenThousand = 2500
