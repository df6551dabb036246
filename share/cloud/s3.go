//go:build s3 || stores

package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob/s3blob"
)

func init() {
	drivers["s3"] = driver{params: []string{"region", "endpoint", "profile", "use_path_style"}, open: openS3}
}

// loginWithin is how long the search for a login may take. Its last resort is a service
// of the machine, which most machines do not have.
const loginWithin = 10 * time.Second

func openS3(ctx context.Context, u *url.URL) (*bucket, error) {
	q := u.Query()
	endpoint := q.Get("endpoint")
	pathStyle := endpoint != "" // other servers than Amazon's have no name for each bucket
	if text := q.Get("use_path_style"); text != "" {
		var err error
		if pathStyle, err = strconv.ParseBool(text); err != nil {
			return nil, errors.New("use_path_style is neither true nor false")
		}
	}
	var opts []func(*config.LoadOptions) error
	if region := q.Get("region"); region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	if profile := q.Get("profile"); profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		if endpoint == "" {
			return nil, errors.New("no region is known; add ?region=REGION to the URL, or set AWS_REGION")
		}
		cfg.Region = "us-east-1" // what they believe to be
	}
	within, cancel := context.WithTimeout(ctx, loginWithin)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(within); err != nil {
		return nil, fmt.Errorf("no login is known; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role: %w", withoutSecrets(err))
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	closeIdle := func() {}
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		if frozen, ok := c.Freeze().(*http.Client); ok {
			// It hides its transport, so nobody could close the connections.
			transport := c.GetTransport()
			frozen.Transport = transport
			cfg.HTTPClient, closeIdle = frozen, transport.CloseIdleConnections
		}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		// A share has checksums of its own, and not every server knows these.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.Logger = logging.Nop{}
	})
	b, err := s3blob.OpenBucket(ctx, client, u.Host, nil)
	if err != nil {
		return nil, err
	}
	return &bucket{
		Bucket: b,
		close:  closeIdle,
		create: func(ctx context.Context, key string, body []byte) error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{
				Bucket:      aws.String(u.Host),
				Key:         aws.String(key),
				Body:        bytes.NewReader(body),
				ContentType: aws.String(contentType),
				IfNoneMatch: aws.String("*"),
			})
			return err
		},
		remove: func(ctx context.Context, key string) error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(u.Host), Key: aws.String(key)})
			return err
		},
		told: func(err error) (status int, name string) {
			if resp := (*awshttp.ResponseError)(nil); errors.As(err, &resp) {
				status = resp.HTTPStatusCode()
			}
			if api := smithy.APIError(nil); errors.As(err, &api) {
				name = api.ErrorCode()
			}
			return status, name
		},
	}, nil
}
