package download

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine outlives its manager.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
