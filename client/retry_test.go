package client

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Proves S-69.
func TestJudge(t *testing.T) {
	answered := func(code int) *failure { return &failure{kind: kindOf(code), code: code} }
	own := func(code int) *failure { return &failure{kind: kindOf(code), code: code, own: true} }
	asked := func(code int) *failure { return &failure{kind: kindOf(code), code: code, asked: true} }
	for name, c := range map[string]struct {
		f        *failure
		freely   verdict // GET and DELETE
		onlyOnce verdict // POST /downloads
	}{
		"not connected":       {&failure{kind: download.ErrUnavailable, unsent: true}, again, again},
		"connection broke":    {&failure{kind: download.ErrUnavailable}, again, uncertain},
		"login 503":           {&failure{kind: kindOf(503), code: 503, unsent: true}, again, again},
		"login 400":           {&failure{kind: kindOf(400), code: 400, unsent: true}, final, final},
		"certificate":         {&failure{kind: download.ErrUnavailable, unsent: true, lasting: true}, final, final},
		"redirect":            {protocolFailure("x"), final, final},
		"400":                 {answered(400), final, final},
		"401":                 {answered(401), final, final},
		"403":                 {answered(403), final, final},
		"404":                 {answered(404), final, final},
		"405":                 {answered(405), final, final},
		"407":                 {answered(407), final, final},
		"408":                 {answered(408), again, uncertain},
		"409":                 {asked(409), final, final},
		"412":                 {asked(412), final, final},
		"416":                 {answered(416), final, final},
		"422":                 {answered(422), final, final},
		"429":                 {answered(429), again, again},
		"429 when":            {asked(429), again, again},
		"500 a proxy's":       {answered(500), againFew, uncertain},
		"500 Alfresco's":      {own(500), againFew, final},
		"501":                 {answered(501), final, final},
		"502":                 {answered(502), again, uncertain},
		"503 a proxy's":       {answered(503), again, uncertain},
		"503 Alfresco's":      {own(503), again, again},
		"503 when":            {asked(503), again, again},
		"504":                 {answered(504), again, uncertain},
		"507":                 {answered(507), again, uncertain},
		"content broke off":   {&failure{kind: download.ErrUnavailable, code: http.StatusPartialContent}, againFew, uncertain},
		"archive has changed": {changed(1, 2), final, final},
	} {
		require.Equal(t, c.freely, judge(false, c.f), name)
		require.Equal(t, c.onlyOnce, judge(true, c.f), name)
	}
}

var testOp = operate("test", "test it")

// bareClient is enough of a Client for repeat.
func bareClient() *Client {
	return &Client{log: slog.New(slog.DiscardHandler), scrub: newScrubber("", "")}
}

func broke() *failure { return &failure{kind: download.ErrUnavailable, detail: "connection reset"} }

func TestRepeatUntilTheBudgetEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		err := bareClient().repeat(t.Context(), testOp, false, 2*time.Minute, func() *failure {
			at = append(at, time.Since(start))
			return broke()
		})
		require.EqualError(t, err, "test it: server unavailable: connection reset")
		require.ErrorIs(t, err, download.ErrUnavailable)
		require.Equal(t, 2*time.Minute, time.Since(start), "the last attempt is made when the budget ends")
		for i := 1; i < len(at); i++ {
			wait := at[i] - at[i-1]
			require.LessOrEqual(t, wait, longWait*3/2)
			if i < len(at)-1 {
				expected := min(firstWait<<(i-1), longWait)
				require.GreaterOrEqual(t, wait, expected/2)
				require.LessOrEqual(t, wait, expected*3/2+1)
			}
		}
		require.Greater(t, len(at), 12)
		require.Less(t, len(at), 40)
	})
}

func TestRepeatHasJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[newPace(time.Minute).next(0)] = true
	}
	require.Greater(t, len(seen), 10)
}

func TestRepeatSucceedsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		require.NoError(t, bareClient().repeat(t.Context(), testOp, false, time.Minute, func() *failure {
			if tries++; tries < 5 {
				return broke()
			}
			return nil
		}))
		require.Equal(t, 5, tries)
	})
}

func TestRepeatWithoutBudgetTriesOnce(t *testing.T) {
	tries := 0
	err := bareClient().repeat(t.Context(), testOp, false, -1, func() *failure { tries++; return broke() })
	require.ErrorIs(t, err, download.ErrUnavailable)
	require.Equal(t, 1, tries)
	require.Equal(t, backoff.Stop, newPace(-1).next(0))
}

func TestRepeat500AFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := bareClient().repeat(t.Context(), testOp, false, time.Hour, func() *failure {
			tries++
			return &failure{kind: kindOf(500), code: 500}
		})
		require.ErrorIs(t, err, download.ErrUnavailable)
		require.Equal(t, 1+fewTries, tries)
	})
}

// Proves S-69.
func TestRepeatHonoursRetryAfter(t *testing.T) {
	for _, c := range []struct{ asked, budget, waited time.Duration }{
		{40 * time.Second, 2 * time.Minute, 40 * time.Second},
		{time.Hour, 2 * time.Minute, 2 * time.Minute}, // capped by the budget
	} {
		synctest.Test(t, func(t *testing.T) {
			start, tries := time.Now(), 0
			require.NoError(t, bareClient().repeat(t.Context(), testOp, true, c.budget, func() *failure {
				if tries++; tries == 1 {
					return &failure{kind: kindOf(503), code: 503, asked: true, retryAfter: c.asked}
				}
				return nil
			}))
			require.Equal(t, c.waited, time.Since(start))
		})
	}
	// A server that says "at once" is not hammered.
	require.Positive(t, newPace(time.Minute).next(0))
}

func TestRepeatEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := bareClient().repeat(ctx, testOp, false, time.Hour, func() *failure {
			return &failure{kind: kindOf(503), code: 503, asked: true, retryAfter: 30 * time.Minute}
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, download.ErrUnavailable)
		require.ErrorContains(t, err, "server unavailable", "the text tells what was waited for")
		require.Equal(t, 50*time.Millisecond, time.Since(start))
	})
}

// When the context ends in the middle of an attempt, the one before says why.
func TestRepeatTellsWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tries := 0
		err := bareClient().repeat(ctx, testOp, false, time.Hour, func() *failure {
			if tries++; tries < 3 {
				return broke()
			}
			<-ctx.Done()
			return &failure{kind: download.ErrUnavailable, detail: "no answer in time"}
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "test it: context deadline exceeded (server unavailable: connection reset)")
		var r interface{ Reason() string }
		require.ErrorAs(t, err, &r)
		require.Equal(t, "connection reset", r.Reason())
	})
}

// Proves S-69.
func TestRepeatOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := bareClient().repeat(ctx, testOp, true, time.Hour, func() *failure { tries++; return broke() })
	require.ErrorIs(t, err, download.ErrUncertain)
	require.NotErrorIs(t, err, download.ErrUnavailable)
	require.Equal(t, 1, tries)

	// A caller who gave up must still learn that it may have happened.
	err = bareClient().repeat(ctx, testOp, true, time.Hour, func() *failure { cancel(); return broke() })
	require.ErrorIs(t, err, download.ErrUncertain)
	require.ErrorIs(t, err, context.Canceled)

	err = bareClient().repeat(ctx, testOp, true, time.Hour, func() *failure {
		return &failure{kind: download.ErrUnavailable, unsent: true}
	})
	require.False(t, errors.Is(err, download.ErrUncertain))
	require.ErrorIs(t, err, context.Canceled)
}
