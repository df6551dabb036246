package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"downloadfs/download"
)

const (
	firstWait = 200 * time.Millisecond
	longWait  = 10 * time.Second
	// fewTries is how often a failure that is likely to stay is tried again. A 500 may
	// be a passing one, such as a database deadlock, but is as often a defect that this
	// request meets. Content that breaks off before its first byte may be damaged in
	// the server's store.
	fewTries = 3
)

// verdict says what may be done after a failed attempt.
type verdict int

const (
	final       verdict = iota // the failure is the outcome
	again                      // try again until the budget is used up
	againFew                   // try again fewTries times
	uncertain                  // it may have had its effect: ErrUncertain
	unconfirmed                // see operation.confirm; repeat decides
)

// judge decides whether a request may be sent again; nothing else does. once marks a
// request that must not have its effect twice: POST /downloads.
//
//	no connection was had        again, also once
//	connection broke, no answer  again; once: uncertain
//	408, 502, 504                again; once: uncertain
//	429                          again, also once: it was turned away
//	503                          again; once: again if the server says when, says so in
//	                             its own words, or it is a proxy's that has found no
//	                             server (see turnedAway), else uncertain (it can mean
//	                             that the connection behind the proxy broke)
//	500                          again a few times; once: final if in Alfresco's own
//	                             words, since its transaction was rolled back, else uncertain
//	other 5xx                    again; once: uncertain
//	content of no bytes          again a few times
//	403, 404 while no API is there again, also once (see believeRefusal)
//	other 403, 404               final, unless op.confirm has the answer confirmed
//	login failed                 as the login's own answer says: it may be repeated
//	certificate, redirect, no    final
//	HTTP, any other status
func judge(once bool, f *failure) verdict {
	// If it failed before the request left, as a login can, once does not matter.
	once = once && !f.unsent
	switch {
	case f.lasting:
		return final
	case f.code == http.StatusTooManyRequests:
		return again
	case f.code == http.StatusServiceUnavailable && (!once || f.asked || f.own):
		return again
	case f.code == http.StatusInternalServerError && once && f.own:
		return final
	case !errors.Is(f.kind, download.ErrUnavailable) || f.code == http.StatusProxyAuthRequired:
		return final
	case once:
		return uncertain
	case f.code == http.StatusInternalServerError, f.code >= 200 && f.code <= 299:
		return againFew
	}
	return again
}

// repeat runs attempt until it succeeds, must not be run again, the budget is used up
// or ctx ends. The end of ctx also ends the wait between two attempts. The last attempt
// is made when the budget ends.
func (c *Client) repeat(ctx context.Context, op operation, once bool, budget time.Duration, attempt func() *failure) error {
	pace, confirm := newPace(budget), op.confirm
	var last *failure
	for few := 0; ; {
		f := attempt()
		if f == nil {
			return nil
		}
		mine := *f // all that needed a login share its refusal
		f = &mine
		f.detail = c.scrub.cleanTo(maxDetailLen, f.detail)
		v := judge(once, f)
		if v == final && f.doubtful() && len(confirm) > 0 && budget > 0 {
			v = unconfirmed
		}
		if v == againFew {
			if few++; few > fewTries {
				v = final
			}
		}
		switch {
		case ctx.Err() != nil && v == uncertain:
			return fmt.Errorf("%s: %w: %w", op.text, download.ErrUncertain, ctx.Err())
		case ctx.Err() != nil:
			if last == nil {
				last = f
			}
			return fmt.Errorf("%s: %w", op.text, &ended{ctx.Err(), last})
		case v == uncertain:
			return fmt.Errorf("%s: %w: %s; the server may have made it; ask again if you still need it",
				op.text, download.ErrUncertain, f.detail)
		case v == final:
			return fmt.Errorf("%s: %w", op.text, f)
		}
		wait := pace.next(f.retryAfter)
		if v == unconfirmed {
			// It is asked for this often, however little time is left.
			wait, confirm = min(confirm[0], max(pace.left()/2, firstWait)), confirm[1:]
		}
		if wait == backoff.Stop {
			return fmt.Errorf("%s: %w", op.text, f)
		}
		level := slog.LevelDebug
		if v != unconfirmed { // the server is not in trouble then
			c.warnRetry.Do(func() { level = slog.LevelWarn })
		}
		c.log.LogAttrs(ctx, level, "trying again", op.attrs(slog.Duration("wait", wait), slog.Any("err", f))...)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", op.text, &ended{ctx.Err(), f})
		}
		last = f
	}
}

// pace is how long to wait before the next attempt: growing times with jitter, not less
// than the server asked for, and never past the budget's end.
type pace struct {
	grow   *backoff.ExponentialBackOff
	start  time.Time
	budget time.Duration
}

func newPace(budget time.Duration) *pace {
	grow := &backoff.ExponentialBackOff{
		InitialInterval: firstWait, MaxInterval: longWait, Multiplier: 2, RandomizationFactor: 0.5,
	}
	return &pace{grow: grow, start: time.Now(), budget: budget}
}

func (p *pace) left() time.Duration { return p.budget - time.Since(p.start) }

// next returns the wait, or backoff.Stop when the budget is used up. after is
// what the server asked for, or 0.
func (p *pace) next(after time.Duration) time.Duration {
	left := p.left()
	if left <= 0 {
		return backoff.Stop
	}
	return min(left, max(after, p.grow.NextBackOff()))
}
