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

var loose = schedulerLimits{inFlight: 4, chores: 2, rate: 1e6, crowd: 1e6, reserve: 1e6, idleRate: 1e6, idleBurst: 1e6}

var polls = [3]urgency{urgent, routine, rare}

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
				s.set(&a, time.Now().Add(time.Second), routine)
			}
		}
		s.set(&a, start.Add(2*time.Second), urgent)
		s.set(&a, start.Add(time.Second), urgent) // replaces
		later(time.Minute)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, ran)
	})
}

func TestSchedulerAdvanceAndRemove(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *scheduler) {
		start := time.Now()
		var ran time.Duration
		a := task{run: func() { ran = time.Since(start) }}
		s.set(&a, start.Add(time.Hour), routine)
		s.advance(&a, start.Add(time.Second))
		s.advance(&a, start.Add(time.Minute)) // not later
		later(2 * time.Second)
		assert.Equal(t, time.Second, ran)

		s.set(&a, time.Now().Add(time.Second), routine)
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
			}}, time.Now(), polls[i%3])
		}
		later(time.Minute)
		assert.Equal(t, 50, runs)
		assert.Equal(t, 4, most)
	})
}

// Chores run a few at once, however many there are and however little may be
// polled, and take nothing from the polls.
func TestSchedulerChores(t *testing.T) {
	limits := loose
	limits.inFlight, limits.rate, limits.crowd, limits.leastRate, limits.reserve = 1, 1, 1, 1, 1
	runScheduler(t, limits, func(t *testing.T, s *scheduler) {
		var mu sync.Mutex
		now, most, runs, polled := 0, 0, 0, 0
		for range 1000 {
			s.set(&task{run: func() {
				mu.Lock()
				now++
				runs++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				now--
				mu.Unlock()
			}}, time.Now(), chore)
		}
		var a task
		a.run = func() {
			polled++
			s.set(&a, time.Now().Add(time.Second), urgent)
		}
		s.set(&a, time.Now(), urgent)
		later(10*time.Second - time.Millisecond)
		assert.Equal(t, 10, polled)
		mu.Lock()
		assert.Equal(t, 200, runs)
		assert.Equal(t, 2, most)
		mu.Unlock()

		// A server that does not answer is asked by one of all.
		s.setHold(time.Now().Add(10 * time.Second))
		later(time.Second)
		mu.Lock()
		runs, most = 0, 0
		mu.Unlock()
		later(10 * time.Second)
		mu.Lock()
		assert.Equal(t, 1, most)
		assert.LessOrEqual(t, runs, 20)
		mu.Unlock()
		later(time.Minute) // what is left
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
		s.set(&a, start, urgent)
		later(time.Second)
		s.set(&a, start.Add(2*time.Second), urgent)
		later(time.Minute)
		assert.Equal(t, []time.Duration{0, 10 * time.Second}, ran)

		s.set(&a, time.Now(), urgent)
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
		var order []urgency
		add := func(u urgency, due time.Duration) {
			s.set(&task{run: func() {
				order = append(order, u)
				time.Sleep(time.Second)
			}}, time.Now().Add(due), u)
		}
		for i := range 20 {
			add(polls[1+i%2], time.Duration(i)*time.Second-time.Hour)
			add(urgent, 0)
		}
		later(time.Hour)
		require.Len(t, order, 40)
		ran := make(map[urgency]int)
		for i, u := range order[:20] {
			ran[u]++
			assert.LessOrEqual(t, ran[routine]+ran[rare], 1+i/4, "most are urgent")
		}
		assert.NotZero(t, ran[routine], "the others are not starved")
		assert.NotZero(t, ran[rare], "the others are not starved")
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
		name  string
		tasks [3]int // urgent, routine, rare
		most  int    // runs in any second from the second minute on
		mean  float64
		waits float64 // the mean of the urgent
	}{
		{"nobody waits", [3]int{0, 10_000, 0}, 50, 40, 0},
		{"all wait", [3]int{10_000, 0, 0}, 60, 50, 50},
		{"half of them wait", [3]int{5_000, 5_000, 0}, 60, 50, 40},
		{"one waits", [3]int{1, 10_000, 0}, 60, 40.5, 0.5},
		{"20 wait", [3]int{20, 10_000, 0}, 60, 50, 10},
		{"100 wait among few", [3]int{100, 100, 0}, 260, 60, 50},
		{"500 wait", [3]int{500, 0, 0}, 300, 250, 250},
		{"500 wait among 10,000 done", [3]int{500, 0, 10_000}, 300, 250, 209},
		{"2,000 wait", [3]int{2000, 0, 0}, 135, 125, 125},
	} {
		t.Run(test.name, func(t *testing.T) {
			runScheduler(t, pollLimits, func(t *testing.T, s *scheduler) {
				var mu sync.Mutex
				var runs, waits []time.Time
				start := time.Now()
				for i, every := range []time.Duration{2 * time.Second, 10 * time.Second, 10 * time.Second} {
					u := polls[i]
					for range test.tasks[i] {
						a := new(task)
						a.run = func() {
							mu.Lock()
							if time.Since(start) > time.Minute {
								runs = append(runs, time.Now())
								if u == urgent {
									waits = append(waits, time.Now())
								}
							}
							mu.Unlock()
							s.set(a, time.Now().Add(every), u)
						}
						s.set(a, start.Add(rand.N(every)), u)
					}
				}
				later(3 * time.Minute)
				mu.Lock()
				defer mu.Unlock()
				most, mean := rates(runs)
				t.Logf("%d runs, at most %d a second, mean %.1f", len(runs), most, mean)
				assert.LessOrEqual(t, most, test.most)
				assert.InDelta(t, test.mean, mean, 2)
				if test.waits > 0 {
					_, mean := rates(waits)
					assert.InDelta(t, test.waits, mean, 2)
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
		for range 290 {
			s.set(&task{run: func() {
				mu.Lock()
				defer mu.Unlock()
				ran++
			}}, time.Now(), urgent)
		}
		later(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 290, ran)
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
			}}, start, urgent)
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
		}}, time.Now(), urgent)
		s.set(&task{run: func() { finished += 100 }}, time.Now().Add(time.Second), urgent)
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
