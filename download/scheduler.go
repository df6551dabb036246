package download

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// scheduler runs tasks when they are due: those that somebody waits for first,
// a bounded number at once, and in all not more often per second than a server
// should be asked. A crowd of which each can have a run every few seconds gets
// them; a larger one, that cannot be served in time anyway, is slowed down to what
// no server minds. Chores are apart from all that: a few at once, as fast as the
// server does them. It needs no goroutine per task, so that ten thousand downloads
// cost a heap. A task's run does its I/O and then sets its next time.
//
// Its lock is below Manager.mu and nothing is called with it held.
type scheduler struct {
	limits schedulerLimits
	wake   chan struct{} // capacity 1: something changed

	mu         sync.Mutex  // guards all below, and the tasks' fields
	queues     [4]taskHeap // by urgency
	running    int         // but for chores
	chores     int         // running
	sinceOther int         // urgent runs since one that was not
	budget     bucket      // what all tasks take from
	idle       bucket      // what tasks that are not urgent take from as well
	holding    bool
	hold       time.Time // while holding: no run before, and one at a time
}

type schedulerLimits struct {
	inFlight  int     // at once, but for chores
	chores    int     // at once, besides
	rate      float64 // runs a second in the long run for up to crowd tasks
	crowd     float64 // from there on rate falls with their number
	leastRate float64 // but not below this
	reserve   float64 // runs saved up while it is quiet, for a rush of waiters
	idleRate  float64 // the part of them that tasks that are not urgent may take
	idleBurst float64
}

// urgency is which tasks go first.
type urgency uint8

const (
	urgent  urgency = iota // somebody waits for it
	chore                  // nobody does, and it ends when it is done
	routine                // nobody does
	rare                   // nobody does, and it is no part of the crowd
)

// task is one thing that is done again and again. The zero value with run set
// is a task that is not scheduled.
type task struct {
	run func()

	due     time.Time
	urgency urgency
	pos     int // 1 + index in its queue; 0 when in none
	running bool
	asChore bool // is how it runs
	pending bool // set while running: goes into the queue when run returns
}

func newScheduler(limits schedulerLimits) *scheduler {
	now := time.Now()
	return &scheduler{
		limits: limits,
		wake:   make(chan struct{}, 1),
		budget: bucket{rate: limits.rate, size: limits.reserve, level: limits.reserve, at: now},
		idle:   bucket{rate: limits.idleRate, size: limits.idleBurst, level: limits.idleBurst, at: now},
	}
}

// set schedules t for due, replacing when it was scheduled for before. While t
// runs it is taken to be the time of the next run.
func (s *scheduler) set(t *task, due time.Time, u urgency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(t, due, u)
}

// advance schedules t for due unless it is scheduled for an earlier time, and
// makes it urgent.
func (s *scheduler) advance(t *task, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (t.pos > 0 || t.pending) && t.due.Before(due) {
		due = t.due
	}
	s.put(t, due, urgent)
}

func (s *scheduler) put(t *task, due time.Time, u urgency) {
	s.take(t)
	t.due, t.urgency = due, u
	if t.running {
		t.pending = true
		return
	}
	heap.Push(&s.queues[t.urgency], t)
	s.signal()
}

// remove takes t off the schedule; a run that has begun goes on.
func (s *scheduler) remove(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.pending = false
	s.take(t)
}

func (s *scheduler) take(t *task) {
	if t.pos > 0 {
		heap.Remove(&s.queues[t.urgency], t.pos-1)
	}
}

// setHold lets nothing run before at, and one task at a time from then on; a
// zero at ends that. It is for a server that does not answer or refuses the
// login, which is asked by one probe and not by all.
func (s *scheduler) setHold(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding || !at.IsZero() {
		s.holding, s.hold = !at.IsZero(), at
		s.signal()
	}
}

// relaxHold lets the next probe run at at if it is held for longer.
func (s *scheduler) relaxHold(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding && s.hold.After(at) {
		s.hold = at
		s.signal()
	}
}

func (s *scheduler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// loop runs tasks until ctx ends, then waits for those that run.
func (s *scheduler) loop(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait := s.next(time.Now())
		if t != nil {
			running.Go(func() {
				defer s.finished(t)
				t.run()
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

// next takes the task to run now off its queue, or says how long there is none;
// less than 0 means until something changes.
func (s *scheduler) next(now time.Time) (*task, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	polls, chores := s.limits.inFlight-s.running, s.limits.chores-s.chores
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
		if len(s.queues[q]) == 0 || q == chore && chores <= 0 || q != chore && polls <= 0 {
			continue
		}
		t := s.queues[q][0]
		ready := t.due.Sub(now)
		if q != chore {
			ready = max(ready, s.budget.wait(now))
		}
		if q == routine || q == rare {
			ready = max(ready, s.idle.wait(now))
		}
		if ready > 0 {
			if wait < 0 || ready < wait {
				wait = ready
			}
			continue
		}
		heap.Remove(&s.queues[q], 0)
		t.running, t.asChore = true, q == chore
		if t.asChore {
			s.chores++
			return t, 0
		}
		s.running++
		s.budget.take(now)
		s.sinceOther++
		if q != urgent {
			s.idle.take(now)
			s.sinceOther = 0
		}
		return t, 0
	}
	return nil, wait
}

// rate returns how many runs a second there may be with as many tasks as there
// are.
func (s *scheduler) rate() float64 {
	crowd := float64(len(s.queues[urgent]) + len(s.queues[routine]) + s.running)
	l := s.limits
	return max(l.rate*min(1, l.crowd/max(crowd, 1)), l.leastRate)
}

// order returns in which order the queues are looked at. Every fifth run is left
// to those that are not urgent, or a crowd of waiters would starve them.
func (s *scheduler) order() [4]urgency {
	first, second := routine, rare
	if r, o := s.queues[rare], s.queues[routine]; len(r) > 0 && len(o) > 0 && r[0].due.Before(o[0].due) {
		first, second = rare, routine
	}
	if s.sinceOther >= 4 {
		return [4]urgency{first, second, urgent, chore}
	}
	return [4]urgency{urgent, chore, first, second}
}

func (s *scheduler) finished(t *task) {
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

// wait returns how long there is no token.
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
type taskHeap []*task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h *taskHeap) Push(x any) {
	t := x.(*task)
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
