//go:build !race

package share

import (
	"testing"
	"testing/synctest"
)

// See race_test.go.
const (
	manyListed = 10_000
	oneOf      = 1
)

// bubble runs f in virtual time, in a bubble of its own; see race_test.go.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
