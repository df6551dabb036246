package stats

import (
	"encoding/json"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/cache"
	"downloadfs/download"
)

type fakeManager struct{ census download.Census }

func (f fakeManager) Census() download.Census { return f.census }

type fakeCache struct{}

func (fakeCache) Usage() download.Usage { return download.Usage{Limit: 100, Used: 40, Free: 60} }
func (fakeCache) Traffic() cache.Traffic {
	return cache.Traffic{Hits: 7, Misses: 3, Evictions: 1, Waiting: 2}
}

type limit int64

func (l limit) Limit() int64 { return int64(l) }

func sample(c *Counts) Mount {
	return Mount{
		Counts: c, Version: "1.2.3", Account: "5ca1ab1e", Started: time.Date(2026, 11, 1, 12, 0, 0, 5, time.UTC),
		Manager: fakeManager{download.Census{ByStatus: map[download.Status]int{download.StatusDone: 2}, Waiters: 4, Removals: 1,
			NoAnswerSince: time.Date(2026, 11, 1, 12, 30, 0, 7, time.UTC)}},
		Cache: fakeCache{}, Bandwidth: limit(5000),
	}
}

// Proves S-196.
func TestJSON(t *testing.T) {
	c := &Counts{}
	c.Operation("read", 0, 2*time.Second)
	c.Operation("read", syscall.EIO, time.Second)
	c.Operation("lookup", syscall.Errno(9999), 0)
	c.Request("get", 200, time.Millisecond)
	c.Request("get", 0, time.Millisecond)
	c.Request("create", 503, 0)
	c.Fetched(10)
	c.Served(20)
	text := sample(c).Snapshot().JSON()
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	assert.NotZero(t, got["goroutines"])
	delete(got, "goroutines")
	want := map[string]any{
		"version": "1.2.3", "account": "5ca1ab1e", "startedAt": "2026-11-01T12:00:00Z",
		"downloads": map[string]any{"DONE": 2.}, "removals": 1., "waiters": 4., "noAnswerSince": "2026-11-01T12:30:00Z",
		"cache":        map[string]any{"limit": 100., "used": 40., "free": 60., "hits": 7., "misses": 3., "evictions": 1., "waiting": 2.},
		"bytesFetched": 10., "bytesServed": 20., "bandwidth": 5000.,
		"requests": []any{
			map[string]any{"name": "create", "count": 1., "seconds": 0., "outcomes": map[string]any{"503": 1.}},
			map[string]any{"name": "get", "count": 2., "seconds": 0.002, "outcomes": map[string]any{"200": 1., "none": 1.}},
		},
		"operations": []any{
			map[string]any{"name": "lookup", "count": 1., "seconds": 0., "outcomes": map[string]any{"other": 1.}},
			map[string]any{"name": "read", "count": 2., "seconds": 3., "outcomes": map[string]any{"ok": 1., "EIO": 1.}},
		},
	}
	assert.Equal(t, want, got)
}

func TestTimes(t *testing.T) {
	var c Counts
	for _, took := range []time.Duration{0, Bounds[0], Bounds[0] + 1, time.Hour, 2 * time.Hour} {
		c.Operation("open", 0, took)
	}
	got := c.operations.snapshot()[0].Times
	assert.Equal(t, int64(5), got.Count)
	assert.Equal(t, 3*time.Hour+2*Bounds[0]+1, got.Sum)
	assert.Equal(t, [len(Bounds)]int64{0: 2, 1: 1, len(Bounds) - 1: 1}, got.Classes)
}

// A snapshot is its own: what is counted afterwards does not change it.
func TestSnapshotStays(t *testing.T) {
	c := &Counts{}
	c.Request("get", 200, 0)
	s := sample(c).Snapshot()
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 100 {
				c.Request("get", 200, 0)
				c.Operation("read", 0, 0)
				_ = sample(c).Snapshot().JSON()
			}
		})
	}
	work.Wait()
	assert.Equal(t, map[string]int64{"200": 1}, s.Requests[0].Outcomes)
	assert.Equal(t, int64(401), sample(c).Snapshot().Requests[0].Times.Count)
}
