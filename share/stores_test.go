package share_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/share"
	"downloadfs/share/storetest"
)

// TestDirectory: a directory does what a store must.
func TestDirectory(t *testing.T) {
	s, err := share.OpenDir(filepath.Join(t.TempDir(), "share"))
	require.NoError(t, err)
	defer s.Close()
	storetest.Run(t, share.Within(s, "some/prefix"))
}
