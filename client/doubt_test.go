package client

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A node that is behind the others knows neither a node uploaded a moment ago nor who
// may read it.
// Proves S-122.
func TestListIsConfirmed(t *testing.T) {
	for _, code := range []int{403, 404} {
		for behind, want := range map[int64]error{0: nil, 2: nil, 3: kindOf(code)} {
			t.Run(fmt.Sprint(code, " ", behind, " times"), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					switch {
					case requests.Add(1) <= behind:
						refuse(w, code, "07110001 no")
					case r.Method == http.MethodPost:
						entry(w, 202, downloadEntryOf("PENDING"))
					default:
						entry(w, 200, map[string]any{"id": "node-1"})
					}
				})
				c := newClient(t, testConfig(srv.URL))
				_, err := c.Create(t.Context(), []download.NodeID{"a"})
				require.ErrorIs(t, err, want)
				require.Len(t, srv.seen(), min(int(behind), 2)+1)

				requests.Store(0)
				_, err = c.Resolve(t.Context(), "/a")
				require.ErrorIs(t, err, want)
			})
		}
	}
}

// With a short retry budget the answer is doubted for a shorter time, but as often.
// Proves S-122.
func TestConfirmationTakesItsTime(t *testing.T) {
	for budget, want := range map[time.Duration][]time.Duration{
		time.Minute:     {0, time.Second, 3 * time.Second, 5 * time.Second},
		4 * time.Second: {0, time.Second, 2500 * time.Millisecond, 3250 * time.Millisecond},
		-1:              {0},
	} {
		synctest.Test(t, func(t *testing.T) {
			start, op := time.Now(), testOp
			op.confirm = confirmContent
			var at []time.Duration
			err := bareClient().repeat(t.Context(), op, false, budget, func() *failure {
				at = append(at, time.Since(start))
				return &failure{kind: download.ErrNotFound, code: 404, own: true}
			})
			require.ErrorIs(t, err, download.ErrNotFound)
			require.Equal(t, want, at)
		})
	}
	require.Len(t, confirmContent, 3, "the list is shared and must not be used up")
	require.True(t, slices.IsSorted(confirmList))
}
