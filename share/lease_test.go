package share

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLeaseModel: mounts that are slow, pause, die and give up fight for a lease, over
// many seeds. Nobody takes over a lease that was renewed less than leaseTTL ago, and
// when the trouble ends, somebody gets it within a minute.
// Proves S-210.
func TestLeaseModel(t *testing.T) {
	for seed := range seeds(40, 2000) {
		bubble(t, func(t *testing.T) {
			var (
				mu      sync.Mutex // guards all below and the random numbers
				r       = rand.New(rand.NewPCG(4, seed))
				holders = make(map[*lease]*atomic.Uint64) // the latest link of each
			)
			chance := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return r.IntN(n)
			}
			store := newMemStore()
			store.skew = time.Duration(chance(100000)-50000) * time.Second
			slow := chance(3) * 1500
			calm := false
			store.setTrouble(func(ctx context.Context, _, _ string) error {
				mu.Lock()
				wait := time.Duration(1+r.IntN(slow+20)) * time.Millisecond
				if calm {
					wait = time.Millisecond
				}
				mu.Unlock()
				return pause(ctx, wait)
			})
			ctx, stop := context.WithCancel(t.Context())
			taken := 0
			var wg sync.WaitGroup
			for range 2 + chance(6) {
				m := newMount(t, newServer(), store)
				wg.Go(func() {
					for ctx.Err() == nil {
						l, _, err := m.share.acquire(ctx, leasePrefix("a"), 0, 0)
						if err != nil || l == nil {
							_ = pause(ctx, time.Duration(200+chance(3000))*time.Millisecond)
							continue
						}
						latest := new(atomic.Uint64)
						latest.Store(l.link)
						mu.Lock()
						taken++
						for other, link := range holders {
							store.mu.Lock()
							key := Prefix(Account("test")) + "/" + linkKey(leasePrefix("a"), link.Load())
							since := time.Since(store.created[key+fmt.Sprintf(`{"holder":%q,"pieces":0}`, other.s.mount)])
							store.mu.Unlock()
							assert.GreaterOrEqual(t, since, leaseTTL, "seed %d: taken over too early, link %d over %d", seed, l.link, link.Load())
						}
						holders[l] = latest
						mu.Unlock()
						lost := false
						for beats := chance(8); beats > 0 && ctx.Err() == nil && !lost; beats-- {
							wait := leaseBeat
							if chance(5) == 0 {
								wait = time.Duration(chance(60)) * time.Second // suspended
							}
							_ = pause(ctx, wait)
							lost = l.renew(ctx, 0) != nil
							latest.Store(l.link)
						}
						mu.Lock()
						delete(holders, l)
						mu.Unlock()
						if !lost && chance(2) == 0 {
							l.release(ctx)
						} // else it has died
					}
				})
			}
			time.Sleep(10 * time.Minute)
			mu.Lock()
			calm = true
			mu.Unlock()
			stop()
			wg.Wait()
			assert.Positive(t, taken)
			// Whatever they have left, a new mount gets the lease within a minute.
			m := newMount(t, newServer(), store)
			began := time.Now()
			for {
				l, _, err := m.share.acquire(t.Context(), leasePrefix("a"), 0, 0)
				require.NoError(t, err)
				if l != nil {
					l.release(t.Context())
					break
				}
				time.Sleep(time.Second)
			}
			assert.Less(t, time.Since(began), time.Minute, "seed %d", seed)
		})
	}
}

// TestLeaseAnsweredLate: a link that the store has written without saying so still
// belongs to its holder.
func TestLeaseAnsweredLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemStore()
		m := newMount(t, newServer(), store)
		l, _, err := m.share.acquire(t.Context(), leasePrefix("a"), 0, 0)
		require.NoError(t, err)
		require.NotNil(t, l)
		require.NoError(t, l.renew(t.Context(), 0))
		l.link-- // as if that answer had been lost
		require.NoError(t, l.renew(t.Context(), 0), "it takes itself for another mount")
		other, _, err := newMount(t, newServer(), store).share.acquire(t.Context(), leasePrefix("a"), 0, 0)
		require.NoError(t, err)
		assert.Nil(t, other)
	})
}

// TestHolderDiesAfterSleep: a machine that has slept replaces a holder that dies then as
// quickly as others do, and takes nothing from one that lives.
// Proves S-210.
func TestHolderDiesAfterSleep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemStore()
		sleeper, other := newMount(t, newServer(), store), newMount(t, newServer(), store)
		_, err := sleeper.share.clock.now(t.Context())
		require.NoError(t, err)
		// The clock that counts stands still while the machine sleeps, and no other does.
		const slept = time.Hour
		sleeper.share.clock.wall = sleeper.share.clock.wall.Add(-slept)
		store.skew += slept

		l, _, err := other.share.acquire(t.Context(), leasePrefix("a"), 0, 0)
		require.NoError(t, err)
		require.NotNil(t, l)
		for range 6 {
			time.Sleep(leaseBeat)
			require.NoError(t, l.renew(t.Context(), 0))
			taken, _, err := sleeper.share.acquire(t.Context(), leasePrefix("a"), 0, 0)
			require.NoError(t, err)
			require.Nil(t, taken, "the holder lives")
		}
		for died := time.Now(); ; time.Sleep(time.Second) {
			require.Less(t, time.Since(died), time.Minute)
			taken, _, err := sleeper.share.acquire(t.Context(), leasePrefix("a"), 0, 0)
			require.NoError(t, err)
			if taken != nil {
				return
			}
		}
	})
}
