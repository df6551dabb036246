// Package stats counts what one mount does, and tells it as a [Snapshot]. The file
// .stats of a mount shows it; package metrics shows it to Prometheus. Nothing in it
// names a download, a path or a user.
package stats

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Counts counts from the start of a mount on. Its methods are safe for concurrent use
// and do not block.
type Counts struct {
	operations table
	requests   table
	fetched    atomic.Int64
	served     atomic.Int64
}

// Operation counts an operation of the kernel, by FUSE's name in lower case, that was
// answered with errno.
func (c *Counts) Operation(name string, errno syscall.Errno, took time.Duration) {
	outcome := "ok"
	if errno != 0 {
		outcome = cmp.Or(unix.ErrnoName(errno), "other")
	}
	c.operations.add(name, outcome, took)
}

// Served counts n bytes of an archive, or of a file in it, that a READ was answered
// with. The kernel does not tell of what it reads in passthrough mode.
func (c *Counts) Served(n int) { c.served.Add(int64(n)) }

// Request counts an exchange with the server: call says what for. code is the
// answer's status, one of few; 0 if there was no answer.
func (c *Counts) Request(call string, code int, took time.Duration) {
	outcome := "none"
	if code != 0 {
		outcome = strconv.Itoa(code)
	}
	c.requests.add(call, outcome, took)
}

// Fetched counts n bytes of archives that came from the server.
func (c *Counts) Fetched(n int) { c.fetched.Add(int64(n)) }

// table has a row for each kind of event. There are few kinds.
type table struct {
	mu   sync.RWMutex
	rows map[string]*row
}

// row counts the events of one kind by their outcome, and how long they took.
type row struct {
	mu       sync.Mutex
	outcomes map[string]int64
	times    Times
}

func (t *table) add(name, outcome string, took time.Duration) {
	t.mu.RLock()
	r := t.rows[name]
	t.mu.RUnlock()
	if r == nil {
		r = t.insert(name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[outcome]++
	r.times.add(took)
}

func (t *table) insert(name string) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows == nil {
		t.rows = make(map[string]*row)
	}
	if t.rows[name] == nil {
		t.rows[name] = &row{outcomes: make(map[string]int64)}
	}
	return t.rows[name]
}

// snapshot returns what each row has counted, sorted by name.
func (t *table) snapshot() []Events {
	t.mu.RLock()
	names := slices.Sorted(maps.Keys(t.rows))
	rows := make([]*row, len(names))
	for i, name := range names {
		rows[i] = t.rows[name]
	}
	t.mu.RUnlock()
	all := make([]Events, len(rows))
	for i, r := range rows {
		r.mu.Lock()
		all[i] = Events{Name: names[i], Outcomes: maps.Clone(r.outcomes), Times: r.times}
		r.mu.Unlock()
	}
	return all
}
