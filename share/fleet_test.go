package share

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"downloadfs/download"
)

// fleetMount is a machine of a fleet, without the Manager's own files. It asks for the
// state of what is not finished as a Manager does when nobody waits.
type fleetMount struct {
	*mount
	mu   sync.Mutex
	list []download.Listed
}

func (f *fleetMount) Roll(dst []download.Listed) []download.Listed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(dst, f.list...)
}

func (f *fleetMount) Enlist(l download.Listed) (*download.Download, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, l)
	return nil, nil
}

func (f *fleetMount) ByID(download.ID) (*download.Download, bool) { return nil, false }
func (f *fleetMount) Lookup(string) (*download.Download, bool)    { return nil, false }
func (f *fleetMount) Rename(*download.Download, string) error     { return nil }
func (f *fleetMount) Remove(*download.Download) error             { return nil }
func (f *fleetMount) Discard(*download.Download) error            { return nil }
func (f *fleetMount) OpenArchive(*download.Download) (download.Archive, error) {
	return nil, download.ErrNotReady
}
func (f *fleetMount) Supply(*download.Download, download.Listed) error { return nil }
func (f *fleetMount) Answers() bool                                    { return true }
func (f *fleetMount) each(do func(l *download.Listed)) {
	for i, l := range f.Roll(nil) {
		do(&l)
		f.mu.Lock()
		f.list[i] = l
		f.mu.Unlock()
	}
}

// fleetServer is a content server whose downloads take a while. It counts requests.
type fleetServer struct {
	*server
	mu   sync.Mutex
	done map[download.ID]time.Time
	gets int
}

func (s *fleetServer) Get(_ context.Context, id download.ID) (download.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	p := download.Progress{ID: id, Status: download.StatusInProgress, TotalBytes: 100}
	if time.Now().After(s.done[id]) {
		p.Status, p.BytesAdded = download.StatusDone, 100
	}
	return p, nil
}

// fleet runs n machines for a while. Some make downloads, and some read each. It
// returns the requests of each kind in an hour.
func fleet(t *testing.T, n int, lasts time.Duration) map[string]int {
	counts := make(map[string]int)
	bubble(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, uint64(n)))
		s, store := &fleetServer{server: newServer(), done: make(map[download.ID]time.Time)}, newMemStore()
		store.latency = 20 * time.Millisecond
		var ms []*fleetMount
		for range n {
			m := &fleetMount{mount: newMount(t, s.server, store)}
			m.service = m.share.Service(s)
			m.share.Follow(m)
			ms = append(ms, m)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		time.Sleep(time.Minute) // until the list is quiet
		store.mu.Lock()
		before := maps.Clone(store.requests)
		store.mu.Unlock()
		s.mu.Lock()
		gets, streams := s.gets, s.streams
		s.mu.Unlock()
		ctx, stop := context.WithTimeout(t.Context(), lasts)
		defer stop()
		var wg sync.WaitGroup
		for _, m := range ms {
			seed := r.Uint64()
			wg.Go(func() {
				r := rand.New(rand.NewPCG(8, seed))
				read := make(map[download.ID]bool)
				for pause(ctx, 9*time.Second+time.Duration(r.IntN(2000))*time.Millisecond) == nil {
					m.each(func(l *download.Listed) {
						if l.Status != download.StatusDone {
							if p, err := m.service.Get(ctx, l.ID); err == nil {
								l.Progress = p
								l.Archive = &download.ArchiveInfo{ID: l.ID, Name: "a.zip", Size: 1000}
							}
							return
						}
						if read[l.ID] {
							return
						}
						read[l.ID] = true
						if r.IntN(20) == 0 || r.IntN(n) < 10 { // one of 20 machines reads it, or ten
							assert.NoError(t, m.readRange(*l.Archive, m.server.content(l.ID), 0, 1000))
						}
					})
				}
			})
		}
		wg.Go(func() { // a download a minute
			for i := 0; ctx.Err() == nil; i++ {
				id := download.ID(fmt.Sprintf("%08d-aaaa-aaaa-aaaa-aaaaaaaaaaaa", i))
				s.add(id, 1000)
				s.mu.Lock()
				s.done[id] = time.Now().Add(2 * time.Minute)
				s.mu.Unlock()
				m := ms[r.IntN(n)]
				_, _ = m.Enlist(download.Listed{Progress: download.Progress{ID: id, Status: download.StatusPending}, CreatedAt: time.Now()})
				_ = pause(ctx, time.Minute)
			}
		})
		wg.Wait()
		perHour := float64(time.Hour) / float64(lasts)
		store.mu.Lock()
		for op, now := range store.requests {
			counts["store: "+op] = int(float64(now-before[op]) * perHour)
		}
		store.mu.Unlock()
		s.mu.Lock()
		counts["server: states"] = int(float64(s.gets-gets) * perHour)
		counts["server: archives"] = int(float64(s.streams-streams) * perHour)
		s.mu.Unlock()
	})
	return counts
}

// TestFleet prints what a fleet asks of the content server and of the store in an hour
// in which a download a minute is made. The content server is asked no more by many
// than by one, and each machine asks the store about every other second.
func TestFleet(t *testing.T) {
	many, lasts := int(seeds(50, 1000)), 10*time.Minute
	results := make(map[int]map[string]int)
	for _, n := range []int{1, 10, many} {
		results[n] = fleet(t, n, lasts)
		for _, what := range slices.Sorted(maps.Keys(results[n])) {
			t.Logf("%5d mounts, requests an hour, %-20s %9d", n, what, results[n][what])
		}
	}
	one, all := results[1], results[many]
	assert.LessOrEqual(t, all["server: states"], one["server: states"]*5/4+10)
	assert.LessOrEqual(t, all["server: archives"], one["server: archives"]+10)
	assert.LessOrEqual(t, all["store: open"]/many, 2600)
}
