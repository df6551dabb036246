package repository

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// pacer limits a stream of bytes to a rate. The nil pacer lets everything pass.
type pacer struct {
	limiter *rate.Limiter
}

// newPacer returns a pacer for bytesPerSecond (nil for 0). Its waits take up to chunk
// bytes at once. It saves up nothing before the first byte: n bytes take
// n/bytesPerSecond from the start.
func newPacer(bytesPerSecond int64, chunk int) *pacer {
	if bytesPerSecond <= 0 {
		return nil
	}
	// Sleeps are never exact. Tokens for 50 ms make up for a late wake-up.
	burst := max(chunk, int(bytesPerSecond/20))
	l := rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	l.ReserveN(time.Now(), burst)
	return &pacer{l}
}

// wait blocks until n more bytes may pass, or ctx ends.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p == nil {
		return ctx.Err()
	}
	return p.limiter.WaitN(ctx, n)
}
