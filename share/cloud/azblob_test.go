//go:build azblob || stores

package cloud

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/share"
	"downloadfs/share/storetest"
)

// TestAzure: Azurite, Microsoft's emulator, does what a store must.
func TestAzure(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	_, err := Open(t.Context(), parse(t, "azblob://bucket"))
	require.ErrorContains(t, err, "no storage account is known; add ?storage_account=NAME")

	// Nobody gives an identity here, and there is no az.
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING"} {
		t.Setenv(name, "")
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
	s, err := Open(t.Context(), parse(t, "azblob://bucket?storage_account=x"))
	require.NoError(t, err)
	_, err = s.List(t.Context(), "")
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "no login works; set AZURE_STORAGE_ACCOUNT")

	server := harness.StartAzurite(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", server.Account)
	t.Setenv("AZURE_STORAGE_KEY", server.Key)
	parameters := "?protocol=http&localemu=true&domain=" + server.Addr
	s, err = Open(t.Context(), parse(t, "azblob://bucket/some/prefix"+parameters))
	require.NoError(t, err)
	defer s.Close()
	err = share.Prove(t.Context(), s)
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "there is no such bucket")

	var client *container.Client
	require.True(t, bucketOf(t, "azblob://bucket"+parameters).As(&client))
	_, err = client.Create(context.Background(), nil)
	require.NoError(t, err)
	require.NoError(t, share.Prove(t.Context(), s))
	storetest.Run(t, s)

	t.Setenv("AZURE_STORAGE_KEY", "aGlkZGVu")
	s, err = Open(t.Context(), parse(t, "azblob://bucket"+parameters))
	require.NoError(t, err)
	err = share.Prove(t.Context(), s)
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "403 ")
	assert.NotContains(t, err.Error(), "aGlkZGVu")
}

func bucketOf(t *testing.T, url string) *bucket {
	t.Helper()
	b, err := openAzure(t.Context(), parse(t, url))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}
