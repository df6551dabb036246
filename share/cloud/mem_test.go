package cloud

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"downloadfs/share/storetest"
)

func init() {
	drivers["mem"] = driver{params: []string{"region", "endpoint"}, open: func(context.Context, *url.URL) (*bucket, error) {
		return &bucket{Bucket: memblob.OpenBucket(nil), told: told}, nil
	}}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// TestMemory: what is ours of a store does what a store must, on gocloud's bucket in
// memory.
func TestMemory(t *testing.T) {
	s, err := Open(t.Context(), parse(t, "mem://bucket/some/prefix/"))
	require.NoError(t, err)
	storetest.Run(t, s)
	require.NoError(t, s.Close())
}

// TestPages: a listing that comes in several answers is whole, and in order.
func TestPages(t *testing.T) {
	s, err := Open(t.Context(), parse(t, "mem://bucket"))
	require.NoError(t, err)
	defer s.Close()
	var want []string
	for i := range 2*pageSize + 1 {
		want = append(want, fmt.Sprintf("a/%06d", i))
		require.NoError(t, s.Create(t.Context(), want[i], nil))
	}
	require.NoError(t, s.Create(t.Context(), "b", nil))
	objects, err := s.List(t.Context(), "a/")
	require.NoError(t, err)
	var got []string
	for _, o := range objects {
		got = append(got, o.Key)
	}
	assert.Equal(t, want, got)
}

// TestCheck: a URL names a bucket and no login, and what is wrong with it is said
// without what may be a secret.
// Proves S-230.
func TestCheck(t *testing.T) {
	for text, says := range map[string]string{
		"mem://bucket":         "",
		"mem://bucket/":        "",
		"mem://bucket/a/b.c-d": "",
		"mem://bucket/a?region=x&endpoint=http://127.0.0.1:9000": "",
		"gopher://bucket":                             "is not in this build",
		"mem://":                                      "names no bucket",
		"mem:bucket":                                  "names no bucket",
		"mem://bucket:80":                             "names no bucket",
		"mem://bucket#part":                           "names no bucket",
		"mem://bucket/a//b":                           "has a prefix",
		"mem://bucket/../b":                           "has a prefix",
		"mem://bucket/%20":                            "has a prefix",
		"mem://me:hidden@bucket":                      "holds a login",
		"mem://hidden@bucket":                         "holds a login",
		"mem://bucket?sig=hidden":                     "it takes region, endpoint, and no login",
		"mem://bucket?hidden":                         "has a parameter that mem:// does not take",
		"mem://bucket?a=%zz":                          "cannot be read",
		"mem://bucket?region=a&region=b":              "twice",
		"mem://bucket?endpoint=https://me:hidden@x":   "is not a plain URL",
		"mem://bucket?endpoint=https://x/%3Fk=hidden": "is not a plain URL",
		"mem://bucket?endpoint=hidden":                "is not a plain URL",
	} {
		err := Check(parse(t, text))
		if says == "" {
			assert.NoError(t, err, text)
			continue
		}
		if assert.ErrorContains(t, err, says, text) {
			assert.NotContains(t, err.Error(), "hidden")
		}
	}
}
