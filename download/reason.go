package download

import (
	"context"
	"errors"
	"time"
)

// Reason returns why a request failed, in words for people. It leaves out the sentinel,
// which the sentence around it tells. It leaves out verb and subject too, since the
// request may have been about another download. It is empty when err says no more than
// that.
func Reason(err error) string {
	var r interface{ Reason() string }
	switch {
	case errors.As(err, &r):
		return r.Reason()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return ""
}

// withReason adds the reason of err to a sentence.
func withReason(sentence string, err error) string {
	if reason := Reason(err); reason != "" {
		return sentence + ": " + reason
	}
	return sentence
}

// stamp formats a time for a sentence, as status does.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
