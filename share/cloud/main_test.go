package cloud

import (
	"testing"

	"downloadfs/integration/harness"
)

func TestMain(m *testing.M) { harness.MainOfTools(m) }
