package fs

import (
	"context"
	"runtime/debug"
	"time"
)

// watchInterval is how often the signals of a caller are looked at once its
// request was interrupted.
const watchInterval = 200 * time.Millisecond

// interruptible returns a context for work on behalf of the caller of ctx, a
// FUSE request's. It ends when the caller gets a signal that it handles or that
// ends it, or is gone, or the mount is. The function returned must be called
// before the request is answered; afterwards nothing uses ctx.
//
// The kernel interrupts a request for any signal and only once. So after an
// interrupt that means nothing, such as the SIGURG with which Go's runtime
// preempts itself, the caller's pending signals are watched: a kill -9 later on
// is announced by nothing else, and the caller cannot die until we answer.
func (f *filesystem) interruptible(ctx context.Context) (context.Context, func()) {
	pid, interrupted := callerPID(ctx), ctx.Done()
	f.uses.Add(1)
	work, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		defer f.recovered("interrupt")
		select {
		case <-work.Done():
			return
		case <-interrupted:
		}
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for !f.callers.disturbed(pid) {
			select {
			case <-work.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return work, func() {
		f.uses.Add(-1)
		cancel()
		<-watched
	}
}

// recovered logs a panic of the goroutine that defers it.
func (f *filesystem) recovered(op string) {
	if r := recover(); r != nil {
		f.log.Error("panic", "op", op, "err", r, "stack", string(debug.Stack()))
	}
}
