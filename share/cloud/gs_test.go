//go:build gs || stores

package cloud

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/share"
	"downloadfs/share/storetest"
)

// TestGoogle: a server that speaks Google's protocol does what a store must.
func TestGoogle(t *testing.T) {
	addr := harness.StartGS(t, "bucket")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "missing"))
	_, err := Open(t.Context(), parse(t, "gs://bucket"))
	require.ErrorContains(t, err, "no login is known; set GOOGLE_APPLICATION_CREDENTIALS")

	login := filepath.Join(t.TempDir(), "login.json")
	require.NoError(t, os.WriteFile(login, []byte(`{"type":"service_account","client_email":"x@example.com","private_key":"hidden"}`), 0o600))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", login)
	t.Setenv("STORAGE_EMULATOR_HOST", addr)
	s, err := Open(t.Context(), parse(t, "gs://bucket/some/prefix"))
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, share.Prove(t.Context(), s))
	storetest.Run(t, s)

	other, err := Open(t.Context(), parse(t, "gs://other"))
	require.NoError(t, err)
	defer other.Close()
	_, err = other.List(t.Context(), "")
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "there is no such bucket")
}
