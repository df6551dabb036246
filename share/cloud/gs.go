//go:build gs || stores

package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

func init() { drivers["gs"] = driver{open: openGoogle} }

// googleTries bounds the attempts of one call. The SDK's own bound is the context.
const googleTries = 4

const googleLogin = "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login'"

func openGoogle(ctx context.Context, u *url.URL) (*bucket, error) {
	ctx = context.WithoutCancel(ctx) // a login is renewed as long as the store is used
	login, err := gcp.DefaultCredentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("no login is known; %s: %w", googleLogin, withoutSecrets(err))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client, err := gcp.NewHTTPClient(transport, gcp.CredentialsTokenSource(login))
	if err != nil {
		return nil, err
	}
	b, err := gcsblob.OpenBucket(ctx, client, u.Host, nil)
	if err != nil {
		return nil, err
	}
	var google *storage.Client
	if !b.As(&google) {
		return nil, errors.New("the driver has no client")
	}
	google.SetRetry(storage.WithMaxAttempts(googleTries))
	return &bucket{
		Bucket:     b,
		close:      transport.CloseIdleConnections,
		howToLogin: googleLogin,
		badLogin: func(err error) bool {
			refused := (*oauth2.RetrieveError)(nil)
			return errors.As(err, &refused)
		},
		told: func(err error) (int, string) {
			answer := (*googleapi.Error)(nil)
			switch {
			case errors.Is(err, storage.ErrBucketNotExist):
				return http.StatusNotFound, "NoSuchBucket"
			case errors.Is(err, storage.ErrObjectNotExist):
				return http.StatusNotFound, ""
			case !errors.As(err, &answer):
				return 0, ""
			case len(answer.Errors) > 0:
				return answer.Code, answer.Errors[0].Reason
			}
			return answer.Code, ""
		},
	}, nil
}
