//go:build s3 || stores

package cloud

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/share"
	"downloadfs/share/storetest"
)

// s3Login gives the test the login of its S3 server, and none of its user's.
func s3Login(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	for _, env := range harness.S3Env() {
		name, value, _ := strings.Cut(env, "=")
		t.Setenv(name, value)
	}
}

// TestS3: a real S3 server does what a store must.
// Proves S-228.
func TestS3(t *testing.T) {
	server := harness.StartS3(t)
	s3Login(t) // it hides where Go builds
	s, err := Open(t.Context(), parse(t, harness.S3URL(server.Addr)))
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, share.Prove(t.Context(), s))
	storetest.Run(t, s)

	// A piece of an archive is larger than what SDKs like to write at once.
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20+32)
	require.NoError(t, s.Create(t.Context(), "large", large))
	objects, err := s.List(t.Context(), "")
	require.NoError(t, err)
	for _, o := range objects {
		if o.Key == "large" {
			assert.EqualValues(t, len(large), o.Size)
		}
	}
}

// TestS3Refuses: what is wrong with a bucket or a login is said at once, in one line.
func TestS3Refuses(t *testing.T) {
	server := harness.StartS3(t)
	s3Login(t) // it hides where Go builds
	url := harness.S3URL(server.Addr)
	open := func(url string) share.Store {
		s, err := Open(t.Context(), parse(t, url))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.Close()) })
		return s
	}
	err := share.Prove(t.Context(), open(strings.Replace(url, harness.S3Bucket, "other", 1)))
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "there is no such bucket")

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	err = share.Prove(t.Context(), open(url))
	require.ErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "403 SignatureDoesNotMatch")
	assert.NotContains(t, err.Error(), "wrong-secret")

	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err = Open(t.Context(), parse(t, url))
	assert.ErrorContains(t, err, "no login is known; set AWS_ACCESS_KEY_ID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", harness.S3Secret)
	_, err = Open(t.Context(), parse(t, "s3://bucket"))
	assert.ErrorContains(t, err, "no region is known")
	_, err = Open(t.Context(), parse(t, url+"&profile=nobody"))
	assert.ErrorContains(t, err, "nobody")

	s := open("s3://bucket?endpoint=http://127.0.0.1:1")
	_, err = s.List(t.Context(), "")
	require.Error(t, err)
	assert.NotErrorIs(t, err, share.ErrRefused)
	assert.Contains(t, err.Error(), "connection refused")
}
