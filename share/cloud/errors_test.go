package cloud

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/share"
)

// answer is what a store answers, as an SDK reports it.
type answer struct {
	status int
	name   string
}

func (a answer) Error() string { return "a long story\nin many lines" }

func answering() *bucket {
	return &bucket{told: func(err error) (int, string) {
		if a := (answer{}); errors.As(err, &a) {
			return a.status, a.name
		}
		return 0, ""
	}}
}

// TestFailures: what a store answers is what share.Store promises, and what to do is
// known from it: wait, or give up.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		verb string
		answer
		want error
	}{
		{"open", answer{404, "NoSuchKey"}, iofs.ErrNotExist},
		{"open", answer{404, "NoSuchBucket"}, share.ErrRefused},
		{"open", answer{404, "ContainerNotFound"}, share.ErrRefused},
		{"open", answer{416, "InvalidRange"}, errBeyond},
		{"create", answer{404, ""}, share.ErrRefused},
		{"list", answer{404, ""}, share.ErrRefused},
		{"delete", answer{404, ""}, iofs.ErrNotExist},
		{"create", answer{412, "PreconditionFailed"}, iofs.ErrExist},
		{"create", answer{409, "BlobAlreadyExists"}, iofs.ErrExist},
		{"create", answer{409, "ConditionalRequestConflict"}, errConflict},
		{"create", answer{403, "AccessDenied"}, share.ErrRefused},
		{"create", answer{401, ""}, share.ErrRefused},
		{"list", answer{301, "PermanentRedirect"}, share.ErrRefused},
		{"list", answer{400, "InvalidBucketName"}, share.ErrRefused},
		{"list", answer{429, ""}, nil},
		{"list", answer{503, "SlowDown"}, nil},
	} {
		err := answering().failed(test.verb, "k", fmt.Errorf("sdk: %w", test.answer))
		for _, kind := range []error{iofs.ErrNotExist, iofs.ErrExist, share.ErrRefused, errBeyond, errConflict} {
			assert.Equal(t, kind == test.want, errors.Is(err, kind), "%s %d %s: %v", test.verb, test.status, test.name, kind)
		}
		assert.NotContains(t, err.Error(), "\n")
	}
}

// TestNoSecretInErrors: Azure's login may be in the query of a URL, which the errors of
// the network show.
// Proves S-230.
func TestNoSecretInErrors(t *testing.T) {
	cause := context.DeadlineExceeded
	for _, err := range []error{
		&url.Error{Op: "Put", URL: "https://x.blob.core.windows.net/b/k?sv=1&sig=hidden", Err: cause},
		fmt.Errorf("once:\n\tPut \"https://x/b/k?sig=hidden\": %w", cause),
		fmt.Errorf("%s https://x/?sig=hidden %w", strings.Repeat("tried this\n", 200), cause),
	} {
		failed := answering().failed("create", "k", fmt.Errorf("sdk: %w", err))
		assert.NotContains(t, failed.Error(), "hidden")
		assert.NotContains(t, failed.Error(), "\n")
		assert.Less(t, len(failed.Error()), 500)
		assert.ErrorIs(t, failed, cause)
	}
}

// TestConflict: a store that cannot say yet which of two creations wins is asked again.
func TestConflict(t *testing.T) {
	asked := 0
	b := answering()
	b.create = func(context.Context, string, []byte) error {
		if asked++; asked < 3 {
			return answer{409, "ConditionalRequestConflict"}
		}
		return answer{412, "PreconditionFailed"}
	}
	s := &store{b}
	assert.ErrorIs(t, s.Create(t.Context(), "k", nil), iofs.ErrExist)
	assert.Equal(t, 3, asked)
	b.create = func(context.Context, string, []byte) error { return answer{409, "OperationAborted"} }
	assert.ErrorIs(t, s.Create(t.Context(), "k", nil), errConflict)
}
