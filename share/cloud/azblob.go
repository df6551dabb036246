//go:build azblob || stores

package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"
)

func init() {
	drivers["azblob"] = driver{params: []string{"storage_account", "domain", "protocol", "localemu"}, open: openAzure}
}

const azureLogin = "set AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, give the machine an identity, or run 'az login'"

func openAzure(ctx context.Context, u *url.URL) (*bucket, error) {
	opener := azureblob.URLOpener{MakeClient: azureblob.NewDefaultClient, ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions()}
	if opener.ServiceURLOptions.AccountName == "" && u.Query().Get("storage_account") == "" {
		return nil, errors.New("no storage account is known; add ?storage_account=NAME to the URL, or set AZURE_STORAGE_ACCOUNT")
	}
	b, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("no login is known; %s: %w", azureLogin, withoutSecrets(err))
	}
	var client *container.Client
	if !b.As(&client) {
		return nil, errors.New("the driver has no client")
	}
	return &bucket{
		Bucket: b,
		create: func(ctx context.Context, key string, body []byte) error {
			_, err := client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(body)), &blockblob.UploadOptions{
				HTTPHeaders:      &blob.HTTPHeaders{BlobContentType: to.Ptr(contentType)},
				AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}},
			})
			return err
		},
		howToLogin: azureLogin,
		badLogin: func(err error) bool {
			// What azidentity returns if it finds no login, or one that is refused.
			final := (interface {
				error
				NonRetriable()
			})(nil)
			return errors.As(err, &final)
		},
		told: func(err error) (int, string) {
			if resp := (*azcore.ResponseError)(nil); errors.As(err, &resp) {
				return resp.StatusCode, resp.ErrorCode
			}
			return 0, ""
		},
	}, nil
}
