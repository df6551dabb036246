package client

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server whose clock is an hour ahead means a second when it says so.
// Proves S-69.
func TestRetryAfterByTheServersClock(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		theirs := time.Now().Add(skew).UTC()
		d, ok := retryAfter(http.Header{
			"Date":        {theirs.Format(http.TimeFormat)},
			"Retry-After": {theirs.Add(time.Second).Format(http.TimeFormat)},
		})
		require.True(t, ok)
		require.Equal(t, time.Second, d)
	}
	d, ok := retryAfter(http.Header{"Date": {"yesterday"}, "Retry-After": {time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}})
	require.True(t, ok)
	require.InDelta(t, time.Minute, d, float64(2*time.Second))
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, " 120 ": 2 * time.Minute,
		"99999999999":              year,
		"999999999999999999999999": year,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		"Fri, 31 Dec 9999 23:59:59 GMT":                   year,
	} {
		d, ok := parseRetryAfter(value, now)
		require.True(t, ok, value)
		require.Equal(t, want, d, value)
	}
	for _, value := range []string{"", "-5", "1.5", "soon", "+3", "0x10"} {
		_, ok := parseRetryAfter(value, now)
		require.False(t, ok, value)
	}
}
