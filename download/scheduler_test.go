package download

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var loose = schedulerLimits{inFlight: 4, rate: 1e6, reserve: 1e6, idleRate: 1e6, idleBurst: 1e6}

// runScheduler runs test in a bubble with a scheduler that is stopped afterwards.
func runScheduler(t *testing.T, limits schedulerLimits, test func(t *testing.T, s *scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(limits)
		ctx, cancel := context.WithCancel(context.Background())
		var loop sync.WaitGroup
		loop.Go(func() { s.loop(ctx) })
		test(t, s)
		cancel()
		loop.Wait()
	})
}

// later lets time pass and all that is due happen.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestSchedulerRunsWhenDue(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		start := time.Now()
		var ran []time.Duration
		var a task
		a.run = func() {
			ran = append(ran, time.Since(start))
			if len(ran) < 3 {
				s.set(&a, time.Now().Add(time.Second), false)
			}
		}
		s.set(&a, start.Add(2*time.Second), true)
		s.set(&a, start.Add(time.Second), true) // replaces
		later(time.Minute)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, ran)
	})
}

func TestSchedulerAdvanceAndRemove(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		start := time.Now()
		var ran time.Duration
		a := task{run: func() { ran = time.Since(start) }}
		s.set(&a, start.Add(time.Hour), false)
		s.advance(&a, start.Add(time.Second))
		s.advance(&a, start.Add(time.Minute)) // not later
		later(2 * time.Second)
		assert.Equal(t, time.Second, ran)

		s.set(&a, time.Now().Add(time.Second), false)
		s.remove(&a)
		s.remove(&a)
		later(time.Minute)
		assert.Equal(t, time.Second, ran, "it did not run again")
	})
}

func TestSchedulerBoundsWhatRunsAtOnce(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		var mu sync.Mutex
		now, most, runs := 0, 0, 0
		for i := range 50 {
			s.set(&task{run: func() {
				mu.Lock()
				now++
				runs++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
			}}, time.Now(), i%2 == 0)
		}
		later(time.Minute)
		assert.Equal(t, 50, runs)
		assert.Equal(t, 4, most)
	})
}

// A task never runs twice at once, and what it is set to while it runs counts.
func TestSchedulerTaskRunsAlone(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		start := time.Now()
		var ran []time.Duration
		a := task{run: func() {
			ran = append(ran, time.Since(start))
			time.Sleep(10 * time.Second)
		}}
		s.set(&a, start, true)
		later(time.Second)
		s.set(&a, start.Add(2*time.Second), true)
		later(time.Minute)
		assert.Equal(t, []time.Duration{0, 10 * time.Second}, ran)

		s.set(&a, time.Now(), true)
		later(time.Second)
		s.advance(&a, time.Now())
		s.remove(&a)
		later(time.Minute)
		assert.Len(t, ran, 3, "removed while it ran")
	})
}

func TestSchedulerUrgentFirst(t *testing.T) {
	limits := loose
	limits.inFlight = 1
	runScheduler(t, limits, func(t *testing.T, s *scheduler) {
		var order []bool
		add := func(urgent bool, due time.Duration) {
			s.set(&task{run: func() {
				order = append(order, urgent)
				time.Sleep(time.Second)
			}}, time.Now().Add(due), urgent)
		}
		for range 20 {
			add(false, -time.Hour)
			add(true, 0)
		}
		later(time.Hour)
		require.Len(t, order, 40)
		others := 0
		for i, urgent := range order[:20] {
			if !urgent {
				others++
			}
			assert.Less(t, others, 2+i/4, "most are urgent")
		}
		assert.GreaterOrEqual(t, others, 3, "the others are not starved")
	})
}

// rates returns the most runs in any second and the mean per second.
func rates(runs []time.Time) (most int, mean float64) {
	slices.SortFunc(runs, time.Time.Compare)
	for i, j := 0, 0; i < len(runs); i++ {
		for runs[i].Sub(runs[j]) >= time.Second {
			j++
		}
		most = max(most, i-j+1)
	}
	return most, float64(len(runs)-1) / runs[len(runs)-1].Sub(runs[0]).Seconds()
}

func TestSchedulerPace(t *testing.T) {
	for _, test := range []struct {
		name       string
		urgent     int // tasks
		other      int
		most       int // runs in any second from the second minute on
		urgentMean float64
	}{
		{"nobody waits", 0, 10_000, 50, 0},
		{"all wait", 10_000, 0, 60, 50},
		{"both", 5_000, 5_000, 60, 40},
		{"one waits", 1, 10_000, 60, 0.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			runScheduler(t, pollLimits, func(t *testing.T, s *scheduler) {
				var mu sync.Mutex
				var runs, urgentRuns []time.Time
				start := time.Now()
				add := func(urgent bool, every time.Duration) {
					a := new(task)
					a.run = func() {
						mu.Lock()
						if time.Since(start) > time.Minute {
							runs = append(runs, time.Now())
							if urgent {
								urgentRuns = append(urgentRuns, time.Now())
							}
						}
						mu.Unlock()
						s.set(a, time.Now().Add(every), urgent)
					}
					s.set(a, start.Add(rand.N(every)), urgent)
				}
				for range test.urgent {
					add(true, 2*time.Second)
				}
				for range test.other {
					add(false, 10*time.Second)
				}
				later(3 * time.Minute)
				mu.Lock()
				defer mu.Unlock()
				most, mean := rates(runs)
				t.Logf("%d runs, at most %d a second, mean %.1f", len(runs), most, mean)
				assert.LessOrEqual(t, most, test.most)
				assert.GreaterOrEqual(t, mean, 38.0, "it does not dawdle")
				if test.urgentMean > 0 {
					_, mean := rates(urgentRuns)
					assert.InDelta(t, test.urgentMean, mean, 1)
				}
			})
		})
	}
}

// A rush of waiters after a quiet time is not paced.
func TestSchedulerReserve(t *testing.T) {
	runScheduler(t, pollLimits, func(t *testing.T, s *scheduler) {
		later(time.Minute)
		ran := 0
		var mu sync.Mutex
		for range 900 {
			s.set(&task{run: func() {
				mu.Lock()
				defer mu.Unlock()
				ran++
			}}, time.Now(), true)
		}
		later(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 900, ran)
	})
}

func TestSchedulerHold(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		start := time.Now()
		var mu sync.Mutex
		var ran []time.Duration
		s.setHold(start.Add(time.Minute))
		for range 3 {
			s.set(&task{run: func() {
				mu.Lock()
				ran = append(ran, time.Since(start))
				s.setHold(time.Now().Add(time.Minute)) // the probe failed
				mu.Unlock()
			}}, start, true)
		}
		later(90 * time.Second)
		assert.Equal(t, []time.Duration{time.Minute}, ran)
		s.relaxHold(start.Add(time.Hour)) // not later
		s.relaxHold(start.Add(100 * time.Second))
		later(20 * time.Second)
		assert.Equal(t, []time.Duration{time.Minute, 100 * time.Second}, ran)
		s.setHold(time.Time{})
		synctest.Wait()
		assert.Equal(t, []time.Duration{time.Minute, 100 * time.Second, 110 * time.Second}, ran)
		s.relaxHold(time.Now()) // nothing is held
	})
}

// What runs when the scheduler is stopped is waited for; what is due is not run.
func TestSchedulerStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(loose)
		ctx, cancel := context.WithCancel(context.Background())
		finished := 0
		s.set(&task{run: func() {
			<-ctx.Done()
			time.Sleep(time.Second)
			finished++
		}}, time.Now(), true)
		s.set(&task{run: func() { finished += 100 }}, time.Now().Add(time.Second), true)
		done := make(chan struct{})
		go func() {
			s.loop(ctx)
			close(done)
		}()
		synctest.Wait()
		cancel()
		<-done
		assert.Equal(t, 1, finished)
	})
}
