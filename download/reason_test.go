package download_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// told is an error like the client's.
type told struct {
	sentinel error
	reason   string
}

func (e *told) Error() string  { return e.sentinel.Error() + ": " + e.reason }
func (e *told) Unwrap() error  { return e.sentinel }
func (e *told) Reason() string { return e.reason }

// status tells the reason of trouble in one plain sentence, even if another download's
// request met it.
func TestSentences(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"refused", &told{download.ErrUnauthorized, "Login failed"}, `^the server refuses the login: Login failed$`},
		{"refused without a word", download.ErrUnauthorized, `^the server refuses the login$`},
		{"away", &told{download.ErrUnavailable, "connection refused"}, `^the server has not answered since 2000-01-01T00:\d\d:\d\dZ: connection refused$`},
		{"away without a word", download.ErrUnavailable, `^the server has not answered since 2000-01-01T00:\d\d:\d\dZ$`},
		{"silent", context.DeadlineExceeded, `^the server has not answered since 2000-01-01T00:\d\d:\d\dZ: no answer in time$`},
		{"time is up", &told{context.DeadlineExceeded, "connection refused"}, `^the server has not answered since 2000-01-01T00:\d\d:\d\dZ: connection refused$`},
		{"odd", &told{download.ErrProtocol, "a web page came"}, `^the server has not given a valid answer about this download since 2000-01-01T00:\d\d:\d\dZ: a web page came$`},
		{"no archive", download.ErrNotReady, `^the server says that this download is DONE, and has had no archive of it since 2000-01-01T00:\d\d:\d\dZ$`},
		{"another kind of node", &told{download.ErrInvalid, "not a download"}, `^the server says that this is not a download: not a download$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d, other := w.create(downloadtest.Plan{Zipping: time.Hour}), w.create(downloadtest.Plan{Zipping: time.Hour})
				w.service.Intercept(func(_ context.Context, op string, id download.ID) error {
					return fmt.Errorf("%s %s: %w", op, id, test.err)
				})
				require.NoError(t, w.Remove(other))
				err := d.Wait(t.Context())
				require.Error(t, err)
				assert.Regexp(t, test.want, err.Error())
				later(10 * time.Minute)
				assert.Regexp(t, test.want, d.Snapshot().Err.Error())
			})
		})
	}
}
