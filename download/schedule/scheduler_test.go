package schedule

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

var loose = Limits{InFlight: 4, Chores: 2, Rate: 1e6, Crowd: 1e6, Reserve: 1e6, IdleRate: 1e6, IdleBurst: 1e6}

var polls = [3]Urgency{Urgent, Routine, Rare}

// runScheduler runs test in a bubble with a scheduler that is stopped afterwards.
func runScheduler(t *testing.T, limits Limits, test func(t *testing.T, s *Scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(limits)
		ctx, cancel := context.WithCancel(context.Background())
		var loop sync.WaitGroup
		loop.Go(func() { s.Run(ctx) })
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
	runScheduler(t, loose, func(t *testing.T, s *Scheduler) {
		start := time.Now()
		var ran []time.Duration
		var a Task
		a.Run = func() {
			ran = append(ran, time.Since(start))
			if len(ran) < 3 {
				s.Set(&a, time.Now().Add(time.Second), Routine)
			}
		}
		s.Set(&a, start.Add(2*time.Second), Urgent)
		s.Set(&a, start.Add(time.Second), Urgent) // replaces
		later(time.Minute)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, ran)
	})
}

func TestSchedulerAdvanceAndRemove(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *Scheduler) {
		start := time.Now()
		var ran time.Duration
		a := Task{Run: func() { ran = time.Since(start) }}
		s.Set(&a, start.Add(time.Hour), Routine)
		s.Advance(&a, start.Add(time.Second))
		s.Advance(&a, start.Add(time.Minute)) // not later
		later(2 * time.Second)
		assert.Equal(t, time.Second, ran)

		s.Set(&a, time.Now().Add(time.Second), Routine)
		s.Remove(&a)
		s.Remove(&a)
		later(time.Minute)
		assert.Equal(t, time.Second, ran, "it did not run again")
	})
}

func TestSchedulerBoundsWhatRunsAtOnce(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *Scheduler) {
		var mu sync.Mutex
		now, most, runs := 0, 0, 0
		for i := range 50 {
			s.Set(&Task{Run: func() {
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

// A few chores run at once, however many there are and however few polls are allowed.
// They take nothing from the polls.
func TestSchedulerChores(t *testing.T) {
	limits := loose
	limits.InFlight, limits.Rate, limits.Crowd, limits.LeastRate, limits.Reserve = 1, 1, 1, 1, 1
	runScheduler(t, limits, func(t *testing.T, s *Scheduler) {
		var mu sync.Mutex
		now, most, runs, polled := 0, 0, 0, 0
		for range 1000 {
			s.Set(&Task{Run: func() {
				mu.Lock()
				now++
				runs++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				now--
				mu.Unlock()
			}}, time.Now(), Chore)
		}
		var a Task
		a.Run = func() {
			polled++
			s.Set(&a, time.Now().Add(time.Second), Urgent)
		}
		s.Set(&a, time.Now(), Urgent)
		later(10*time.Second - time.Millisecond)
		assert.Equal(t, 10, polled)
		mu.Lock()
		assert.Equal(t, 200, runs)
		assert.Equal(t, 2, most)
		mu.Unlock()

		// One task of all asks a server that does not answer.
		s.SetHold(time.Now().Add(10 * time.Second))
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

// A task never runs twice at once. A time that is set while it runs counts.
func TestSchedulerTaskRunsAlone(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *Scheduler) {
		start := time.Now()
		var ran []time.Duration
		a := Task{Run: func() {
			ran = append(ran, time.Since(start))
			time.Sleep(10 * time.Second)
		}}
		s.Set(&a, start, Urgent)
		later(time.Second)
		s.Set(&a, start.Add(2*time.Second), Urgent)
		later(time.Minute)
		assert.Equal(t, []time.Duration{0, 10 * time.Second}, ran)

		s.Set(&a, time.Now(), Urgent)
		later(time.Second)
		s.Advance(&a, time.Now())
		s.Remove(&a)
		later(time.Minute)
		assert.Len(t, ran, 3, "removed while it ran")
	})
}

func TestSchedulerUrgentFirst(t *testing.T) {
	limits := loose
	limits.InFlight = 1
	runScheduler(t, limits, func(t *testing.T, s *Scheduler) {
		var order []Urgency
		add := func(u Urgency, due time.Duration) {
			s.Set(&Task{Run: func() {
				order = append(order, u)
				time.Sleep(time.Second)
			}}, time.Now().Add(due), u)
		}
		for i := range 20 {
			add(polls[1+i%2], time.Duration(i)*time.Second-time.Hour)
			add(Urgent, 0)
		}
		later(time.Hour)
		require.Len(t, order, 40)
		ran := make(map[Urgency]int)
		for i, u := range order[:20] {
			ran[u]++
			assert.LessOrEqual(t, ran[Routine]+ran[Rare], 1+i/4, "most are urgent")
		}
		assert.NotZero(t, ran[Routine], "the others are not starved")
		assert.NotZero(t, ran[Rare], "the others are not starved")
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
			runScheduler(t, PollLimits, func(t *testing.T, s *Scheduler) {
				var mu sync.Mutex
				var runs, waits []time.Time
				start := time.Now()
				for i, every := range []time.Duration{2 * time.Second, 10 * time.Second, 10 * time.Second} {
					u := polls[i]
					for range test.tasks[i] {
						a := new(Task)
						a.Run = func() {
							mu.Lock()
							if time.Since(start) > time.Minute {
								runs = append(runs, time.Now())
								if u == Urgent {
									waits = append(waits, time.Now())
								}
							}
							mu.Unlock()
							s.Set(a, time.Now().Add(every), u)
						}
						s.Set(a, start.Add(rand.N(every)), u)
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
	runScheduler(t, PollLimits, func(t *testing.T, s *Scheduler) {
		later(time.Minute)
		ran := 0
		var mu sync.Mutex
		for range 290 {
			s.Set(&Task{Run: func() {
				mu.Lock()
				defer mu.Unlock()
				ran++
			}}, time.Now(), Urgent)
		}
		later(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 290, ran)
	})
}

func TestSchedulerHold(t *testing.T) {
	runScheduler(t, loose, func(t *testing.T, s *Scheduler) {
		start := time.Now()
		var mu sync.Mutex
		var ran []time.Duration
		s.SetHold(start.Add(time.Minute))
		for range 3 {
			s.Set(&Task{Run: func() {
				mu.Lock()
				ran = append(ran, time.Since(start))
				s.SetHold(time.Now().Add(time.Minute)) // the probe failed
				mu.Unlock()
			}}, start, Urgent)
		}
		later(90 * time.Second)
		assert.Equal(t, []time.Duration{time.Minute}, ran)
		s.RelaxHold(start.Add(time.Hour)) // not later
		s.RelaxHold(start.Add(100 * time.Second))
		later(20 * time.Second)
		assert.Equal(t, []time.Duration{time.Minute, 100 * time.Second}, ran)
		s.SetHold(time.Time{})
		synctest.Wait()
		assert.Equal(t, []time.Duration{time.Minute, 100 * time.Second, 110 * time.Second}, ran)
		s.RelaxHold(time.Now()) // nothing is held
	})
}

// Run waits for the tasks that run when the scheduler is stopped. It does not run tasks
// that are due.
func TestSchedulerStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(loose)
		ctx, cancel := context.WithCancel(context.Background())
		finished := 0
		s.Set(&Task{Run: func() {
			<-ctx.Done()
			time.Sleep(time.Second)
			finished++
		}}, time.Now(), Urgent)
		s.Set(&Task{Run: func() { finished += 100 }}, time.Now().Add(time.Second), Urgent)
		done := make(chan struct{})
		go func() {
			s.Run(ctx)
			close(done)
		}()
		synctest.Wait()
		cancel()
		<-done
		assert.Equal(t, 1, finished)
	})
}

// BenchmarkScheduler measures one run among 10,000 tasks.
func BenchmarkScheduler(b *testing.B) {
	s := New(loose)
	now := time.Now()
	for i := range 10_000 {
		s.Set(&Task{}, now.Add(time.Duration(i)*time.Millisecond), Urgency(i%3))
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		t, _ := s.next(now)
		if t == nil {
			continue
		}
		s.Set(t, now.Add(10*time.Second), t.urgency)
		s.finished(t)
	}
}
