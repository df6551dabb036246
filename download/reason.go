package download

import (
	"context"
	"errors"
	"time"
)

// Reason returns why a request failed, in words for people: without the
// sentinel, which the sentence around it tells, and without verb and subject, for
// it may be told of another download than the request was about. It is empty when
// err says no more than that.
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

// withReason adds why to a sentence.
func withReason(sentence string, err error) string {
	if reason := Reason(err); reason != "" {
		return sentence + ": " + reason
	}
	return sentence
}

// stamp is a time in a sentence, as those in status are.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
