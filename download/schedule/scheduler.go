package schedule

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Scheduler runs tasks when they are due: tasks that somebody waits for first, a
// bounded number at once, and in all not more often per second than a server should be
// asked. While each task of a crowd can have a run every few seconds, it gets one. A
// larger crowd cannot be served in time anyway, so it is slowed down to a rate that no
// server minds. Chores are apart from all that: a few at once, as fast as the server
// does them. No task needs a goroutine, so ten thousand downloads cost one heap. A
// task's run does its I/O and then sets its next time.
//
// Its lock is below Manager.mu. Nothing is called while it is held.
type Scheduler struct {
	limits Limits
	wake   chan struct{} // capacity 1: something changed

	mu         sync.Mutex  // guards all below, and the tasks' fields
	queues     [4]taskHeap // by urgency
	running    int         // without chores
	chores     int         // running
	sinceOther int         // urgent runs since the last run that was not urgent
	budget     bucket      // what all tasks take from
	idle       bucket      // what tasks that are not urgent take from in addition
	holding    bool
	hold       time.Time // while holding: no run before, and one at a time
}

// Limits bound how many tasks run at once, and how many a second.
type Limits struct {
	InFlight  int     // at once, without chores
	Chores    int     // at once, in addition
	Rate      float64 // runs per second in the long run for up to Crowd tasks
	Crowd     float64 // above this number of tasks the rate falls with it
	LeastRate float64 // but not below this
	Reserve   float64 // runs saved up in quiet times for a rush of waiters
	IdleRate  float64 // the part of them that tasks that are not urgent may take
	IdleBurst float64
}

// PollLimits let 500 downloads with waiters be polled every two seconds, and hold ten
// thousand to 60 requests a second. Removals are bounded by how many run at once: the
// server itself says how fast it can do them.
var PollLimits = Limits{
	InFlight: 8, Chores: 4, Rate: 250, Crowd: 1000, LeastRate: 50, Reserve: 300, IdleRate: 40, IdleBurst: 8,
}

// Urgency says which tasks go first.
type Urgency uint8

const (
	Urgent  Urgency = iota // somebody waits for it
	Chore                  // nobody waits, and the task ends when it is done
	Routine                // nobody does
	Rare                   // nobody waits, and the task is no part of the crowd
)

// Task is one thing that is done again and again. The zero value with Run set is a task
// that is not scheduled.
type Task struct {
	Run func()

	due     time.Time
	urgency Urgency
	pos     int // 1 + index in its queue; 0 when in none
	running bool
	asChore bool // it runs as a chore
	pending bool // set while running: put it into the queue when Run returns
}

func New(limits Limits) *Scheduler {
	now := time.Now()
	return &Scheduler{
		limits: limits,
		wake:   make(chan struct{}, 1),
		budget: bucket{rate: limits.Rate, size: limits.Reserve, level: limits.Reserve, at: now},
		idle:   bucket{rate: limits.IdleRate, size: limits.IdleBurst, level: limits.IdleBurst, at: now},
	}
}

// Set schedules t for due in place of its earlier time. While t runs, due is the time
// of its next run.
func (s *Scheduler) Set(t *Task, due time.Time, u Urgency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(t, due, u)
}

// Advance schedules t for due unless it is scheduled for an earlier time. It makes t
// urgent.
func (s *Scheduler) Advance(t *Task, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (t.pos > 0 || t.pending) && t.due.Before(due) {
		due = t.due
	}
	s.put(t, due, Urgent)
}

func (s *Scheduler) put(t *Task, due time.Time, u Urgency) {
	s.take(t)
	t.due, t.urgency = due, u
	if t.running {
		t.pending = true
		return
	}
	heap.Push(&s.queues[t.urgency], t)
	s.signal()
}

// Remove takes t off the schedule. A run that has begun goes on.
func (s *Scheduler) Remove(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.pending = false
	s.take(t)
}

func (s *Scheduler) take(t *Task) {
	if t.pos > 0 {
		heap.Remove(&s.queues[t.urgency], t.pos-1)
	}
}

// SetHold lets nothing run before at, and one task at a time from then on. A zero at
// ends the hold. It is for a server that does not answer or refuses the login: one
// probe asks it instead of all.
func (s *Scheduler) SetHold(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding || !at.IsZero() {
		s.holding, s.hold = !at.IsZero(), at
		s.signal()
	}
}

// RelaxHold lets the next probe run at at if it is held longer.
func (s *Scheduler) RelaxHold(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding && s.hold.After(at) {
		s.hold = at
		s.signal()
	}
}

func (s *Scheduler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run runs tasks until ctx ends, then waits for the tasks that are running.
func (s *Scheduler) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait := s.next(time.Now())
		if t != nil {
			running.Go(func() {
				defer s.finished(t)
				t.Run()
			})
			if ctx.Err() == nil {
				continue
			}
		}
		var due <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-due:
		}
	}
}

// next takes the task to run now off its queue, or returns how long there will be none;
// less than 0 means until something changes.
func (s *Scheduler) next(now time.Time) (*Task, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	polls, chores := s.limits.InFlight-s.running, s.limits.Chores-s.chores
	if s.holding {
		if s.running+s.chores > 0 {
			return nil, -1
		}
		if now.Before(s.hold) {
			return nil, s.hold.Sub(now)
		}
		polls, chores = 1, 1
	}
	s.budget.setRate(now, s.rate())
	wait := time.Duration(-1)
	for _, q := range s.order() {
		if len(s.queues[q]) == 0 || q == Chore && chores <= 0 || q != Chore && polls <= 0 {
			continue
		}
		t := s.queues[q][0]
		ready := t.due.Sub(now)
		if q != Chore {
			ready = max(ready, s.budget.wait(now))
		}
		if q == Routine || q == Rare {
			ready = max(ready, s.idle.wait(now))
		}
		if ready > 0 {
			if wait < 0 || ready < wait {
				wait = ready
			}
			continue
		}
		heap.Remove(&s.queues[q], 0)
		t.running, t.asChore = true, q == Chore
		if t.asChore {
			s.chores++
			return t, 0
		}
		s.running++
		s.budget.take(now)
		s.sinceOther++
		if q != Urgent {
			s.idle.take(now)
			s.sinceOther = 0
		}
		return t, 0
	}
	return nil, wait
}

// rate returns the number of runs per second for the current number of tasks.
func (s *Scheduler) rate() float64 {
	crowd := float64(len(s.queues[Urgent]) + len(s.queues[Routine]) + s.running)
	l := s.limits
	return max(l.Rate*min(1, l.Crowd/max(crowd, 1)), l.LeastRate)
}

// order returns the order in which to look at the queues. Every fifth run goes to tasks
// that are not urgent: a crowd of waiters would starve them otherwise.
func (s *Scheduler) order() [4]Urgency {
	first, second := Routine, Rare
	if r, o := s.queues[Rare], s.queues[Routine]; len(r) > 0 && len(o) > 0 && r[0].due.Before(o[0].due) {
		first, second = Rare, Routine
	}
	if s.sinceOther >= 4 {
		return [4]Urgency{first, second, Urgent, Chore}
	}
	return [4]Urgency{Urgent, Chore, first, second}
}

func (s *Scheduler) finished(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running = false
	if t.asChore {
		s.chores--
	} else {
		s.running--
	}
	if t.pending {
		t.pending = false
		heap.Push(&s.queues[t.urgency], t)
	}
	s.signal()
}

// bucket is a token bucket.
type bucket struct {
	rate  float64 // tokens a second
	size  float64
	level float64 // at time at
	at    time.Time
}

func (b *bucket) fill(now time.Time) {
	b.level = min(b.size, b.level+b.rate*now.Sub(b.at).Seconds())
	b.at = now
}

func (b *bucket) setRate(now time.Time, rate float64) {
	b.fill(now)
	b.rate = rate
}

// wait returns how long until there is a token.
func (b *bucket) wait(now time.Time) time.Duration {
	b.fill(now)
	if b.level >= 1 {
		return 0
	}
	return time.Duration((1-b.level)/b.rate*float64(time.Second)) + time.Microsecond
}

func (b *bucket) take(now time.Time) {
	b.fill(now)
	b.level--
}

// taskHeap is a heap by due time.
type taskHeap []*Task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h *taskHeap) Push(x any) {
	t := x.(*Task)
	*h = append(*h, t)
	t.pos = len(*h)
}

func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.pos = 0
	return t
}
