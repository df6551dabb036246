package client

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter reads an answer's Retry-After header and reports whether there was one. A
// date in it refers to the clock of the answer's own Date header, which need not agree
// with this machine's.
func retryAfter(header http.Header) (time.Duration, bool) {
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return parseRetryAfter(header.Get("Retry-After"), now)
}

// parseRetryAfter reads a Retry-After header, seconds or a date, and reports whether
// there was one. It returns 0 for a moment that has passed, and a year for one beyond
// all reason.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	const most = 365 * 24 * time.Hour
	value = strings.TrimSpace(value)
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(most, max(0, at.Sub(now))), true
	}
	return 0, false
}
