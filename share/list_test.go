package share

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// machine is a mount with a real Manager.
type machine struct {
	manager *download.Manager
	share   *Share
	way     *behind
	journal string
	server  *downloadtest.Service
	store   Store
	only    bool
	cached  *downloadtest.Archives // kept when it is started again
	log     bytes.Buffer

	nodes    download.Nodes // nil: nothing comes in parts
	partSize int64
	size     int64 // of the share; 0: large
	key      *Key
	listed   atomic.Pointer[download.Manager]
}

// Stream reads through the share that the machine has at the moment.
func (m *machine) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	var source download.Source = m.server
	if m.only {
		source = NoServer{}
	}
	return m.share.Source(source).Stream(ctx, a, off, end)
}

func (m *machine) start(t *testing.T) {
	t.Helper()
	m.way = &behind{Store: m.store}
	m.share = Open(Config{
		Store: m.way, Account: Account("test"), Size: cmp.Or(m.size, 1<<40), Whole: true, Only: m.only, Key: m.key, Logger: slog.New(slog.NewTextHandler(&m.log, nil)),
		Listed: func(id download.ID) bool { l := m.listed.Load(); return l != nil && l.Lists(id) },
	})
	var service download.Service = m.server
	if m.only {
		service = NoServer{}
	}
	if m.cached == nil {
		m.cached = downloadtest.NewArchives(m)
	}
	cfg := download.Config{
		Service:     m.share.Service(service),
		Archives:    m.share.Archives(m.cached),
		JournalPath: m.journal,
		PartSize:    -1,
		Turns:       m.share,
		Logger:      slog.New(slog.DiscardHandler),
	}
	if m.nodes != nil {
		cfg.Nodes, cfg.PartSize = m.nodes, m.partSize
	}
	var err error
	m.manager, err = download.Open(cfg)
	require.NoError(t, err)
	m.listed.Store(m.manager)
	m.share.Follow(m.manager)
}

func (m *machine) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, m.manager.Close())
	require.NoError(t, m.share.Close())
}

func newMachine(t *testing.T, server *downloadtest.Service, store Store, edit ...func(*machine)) *machine {
	t.Helper()
	m := &machine{journal: filepath.Join(t.TempDir(), "journal.db"), server: server, store: store}
	for _, f := range edit {
		f(m)
	}
	m.start(t)
	t.Cleanup(func() { m.stop(t) })
	return m
}

// view is what a user of the mount sees: the names, and the id and status of each.
func (m *machine) view() map[string]string {
	v := make(map[string]string)
	for _, d := range m.manager.Downloads() {
		s := d.Snapshot()
		v[s.Name] = fmt.Sprintf("%s %s", d.ID(), s.Status)
	}
	return v
}

func (m *machine) create(t *testing.T, node string) *download.Download {
	t.Helper()
	d, err := m.manager.Create(t.Context(), download.List{Entries: []download.Entry{{Node: download.NodeID(node)}}})
	require.NoError(t, err)
	return d
}

// same waits until all machines show the same, and returns that.
func same(t *testing.T, within time.Duration, machines ...*machine) map[string]string {
	t.Helper()
	began := time.Now()
	for {
		first := machines[0].view()
		all := true
		for _, m := range machines[1:] {
			all = all && maps.Equal(first, m.view())
		}
		if all {
			return first
		}
		if time.Since(began) > within {
			for i, m := range machines {
				t.Logf("machine %d: %v", i, m.view())
			}
			require.Fail(t, "the machines do not show the same")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestSameListEverywhere: what is made, renamed or removed on one machine is so on all
// within 5 s.
// Proves S-207.
func TestSameListEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		store.latency = 20 * time.Millisecond
		var ms []*machine
		for range 5 {
			ms = append(ms, newMachine(t, server, store))
		}
		time.Sleep(3 * time.Second)
		d := ms[0].create(t, "11111111-1111-1111-1111-111111111111")
		time.Sleep(5 * time.Second)
		for _, m := range ms {
			require.Contains(t, m.view(), string(d.ID()))
			other, _ := m.manager.ByID(d.ID())
			assert.Equal(t, d.NodeIDs(), other.NodeIDs())
			assert.True(t, d.Snapshot().CreatedAt.Equal(other.Snapshot().CreatedAt))
		}
		there, _ := ms[3].manager.ByID(d.ID())
		require.NoError(t, ms[3].manager.Rename(there, "q3"))
		time.Sleep(5 * time.Second)
		for _, m := range ms {
			require.Contains(t, m.view(), "q3")
			require.NoError(t, mustFind(t, m, d.ID()).Wait(t.Context()))
		}
		assert.Contains(t, same(t, 5*time.Second, ms...)["q3"], "DONE")
		there, _ = ms[4].manager.ByID(d.ID())
		require.NoError(t, ms[4].manager.Remove(there))
		time.Sleep(5 * time.Second)
		for _, m := range ms {
			assert.Empty(t, m.view())
		}
		time.Sleep(time.Minute)
		assert.Equal(t, 1, server.Count("Delete"), "more than one machine told the content server")
	})
}

func mustFind(t *testing.T, m *machine, id download.ID) *download.Download {
	t.Helper()
	d, ok := m.manager.ByID(id)
	require.True(t, ok)
	return d
}

// TestListModel: many seeds of machines that create, rename, remove, restart, and lose
// the store, at the same moments. In the end all show the same, every download that
// nobody has removed is there, and none that somebody has.
// Proves S-208.
func TestListModel(t *testing.T) {
	for seed := range seeds(4, 200) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, seed))
			server, store := downloadtest.NewService(), newMemStore()
			store.latency = time.Duration(r.IntN(100)) * time.Millisecond
			server.SetPlan(downloadtest.Plan{Pending: time.Second, Zipping: 10 * time.Second})
			var ms []*machine
			for range 2 + r.IntN(4) {
				ms = append(ms, newMachine(t, server, store))
			}
			made, removed := make(map[download.ID]bool), make(map[download.ID]bool)
			for range 60 {
				m := ms[r.IntN(len(ms))]
				ds := m.manager.Downloads()
				switch op := r.IntN(12); {
				case op < 4 || len(ds) == 0:
					made[m.create(t, fmt.Sprintf("%08d-1111-1111-1111-111111111111", r.IntN(1e6))).ID()] = true
				case op < 8:
					_ = m.manager.Rename(ds[r.IntN(len(ds))], string(rune('a'+r.IntN(4)))) // few names: many clash
				case op < 10:
					d := ds[r.IntN(len(ds))]
					if m.manager.Remove(d) == nil {
						removed[d.ID()] = true
					}
				case op == 10:
					m.way.setCut(true)
					time.AfterFunc(time.Duration(r.IntN(40))*time.Second, func() { m.way.setCut(false) })
				default:
					m.way.setCut(false)
					time.Sleep(2 * leaveAloneMax) // what it did is told before it ends
					m.stop(t)
					time.Sleep(time.Duration(r.IntN(60)) * time.Second)
					m.start(t)
				}
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
			for _, m := range ms {
				m.way.setCut(false)
			}
			time.Sleep(3 * time.Minute)
			view := same(t, 5*time.Second, ms...)
			ids := make(map[download.ID]bool)
			for _, d := range ms[0].manager.Downloads() {
				ids[d.ID()] = true
			}
			for id := range made {
				assert.Equal(t, !removed[id], ids[id], "seed %d: %s", seed, id)
			}
			for name, what := range view {
				assert.Contains(t, what, "DONE", "seed %d: %s", seed, name)
			}
			late := newMachine(t, server, store)
			assert.Equal(t, view, same(t, 10*time.Second, late, ms[0]), "seed %d", seed)
		})
	}
}

// TestOnePolls: ten mounts with a waiter each ask the content server no more than one
// does, and everybody learns of the end within seconds.
// Proves S-211.
func TestOnePolls(t *testing.T) {
	ask := func(n int) (gets int, latest time.Duration) {
		bubble(t, func(t *testing.T) {
			server, store := downloadtest.NewService(), newMemStore()
			server.SetPlan(downloadtest.Plan{Pending: 5 * time.Second, Zipping: 5 * time.Minute})
			var ms []*machine
			for range n {
				ms = append(ms, newMachine(t, server, store))
			}
			time.Sleep(10 * time.Second)
			began := time.Now()
			d := ms[0].create(t, "11111111-1111-1111-1111-111111111111")
			time.Sleep(5 * time.Second)
			var wg sync.WaitGroup
			var mu sync.Mutex
			for _, m := range ms {
				wg.Go(func() {
					assert.NoError(t, mustFind(t, m, d.ID()).Wait(t.Context()))
					mu.Lock()
					defer mu.Unlock()
					latest = max(latest, time.Since(began)-5*time.Minute-5*time.Second)
				})
			}
			wg.Wait()
			gets = server.Count("Get")
		})
		return gets, latest
	}
	one, _ := ask(1)
	ten, latest := ask(10)
	t.Logf("requests for the state of a download that takes 5 min: %d of one mount, %d of ten; the last learned of the end after %v", one, ten, latest)
	assert.LessOrEqual(t, ten, one+one/5+5)
	assert.Less(t, latest, 10*time.Second)
}

// TestLeaderDies: when the mount that asks the content server for all vanishes, another
// does so within a minute. So it is when only its way to the content server is cut.
// Proves S-211.
func TestLeaderDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		server.SetPlan(downloadtest.Plan{Zipping: 10 * time.Minute})
		ms := []*machine{newMachine(t, server, store), newMachine(t, server, store), newMachine(t, server, store)}
		time.Sleep(5 * time.Second)
		d := ms[0].create(t, "11111111-1111-1111-1111-111111111111")
		time.Sleep(5 * time.Second)
		var leader *machine
		for _, m := range ms {
			if m.share.list.log.roll.Leader == m.share.mount {
				leader = m
			}
		}
		require.NotNil(t, leader)
		leader.way.setCut(true)
		time.Sleep(time.Minute)
		for _, m := range ms {
			if m != leader {
				l := m.share.list.log
				l.mu.RLock()
				assert.NotEqual(t, leader.share.mount, l.roll.Leader)
				assert.NotEmpty(t, l.roll.Leader)
				l.mu.RUnlock()
				assert.Less(t, time.Since(mustFind(t, m, d.ID()).Snapshot().ChangedAt), 20*time.Second)
			}
		}
	})
}

// TestListOfTenThousand: a new mount shows 10,000 downloads with few requests.
// Proves S-225.
func TestListOfTenThousand(t *testing.T) {
	n := 10000
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		writeList(t, store, nil, n, 3)
		require.LessOrEqual(t, len(store.keys("/list/")), 2*snapshotEvery+5)
		before := maps.Clone(store.requests)
		m := newMachine(t, server, store)
		<-m.share.Synced()
		assert.Len(t, m.manager.Downloads(), n)
		assert.Less(t, store.requests["open"]-before["open"], snapshotEvery+10)
		assert.Zero(t, server.Count("Get"))
	})
}

// TestRollIsOneForAll: whatever records come, a list that was read from a snapshot and
// one that took in all records are the same.
// Proves S-208.
func TestRollIsOneForAll(t *testing.T) {
	for seed := range seeds(15, 1000) {
		r := rand.New(rand.NewPCG(6, seed))
		whole, cut := newRoll(), newRoll()
		ops := []string{opAdd, opName, opRemove, opState, opLead, opLook, "unknown"}
		for range 300 {
			rec := record{By: string(rune('A' + r.IntN(3)))}
			for range r.IntN(4) {
				rec.Changes = append(rec.Changes, change{Op: ops[r.IntN(len(ops))], ID: download.ID(rune('a' + r.IntN(6))),
					Name: []string{"", "x", "y", "a", "b"}[r.IntN(5)], Over: uint64(r.IntN(300)), Leave: r.IntN(5) == 0,
					State: &state{Status: download.StatusDone, BytesAdded: r.Int64N(3)}})
			}
			whole.apply(rec)
			if r.IntN(10) == 0 {
				p, err := seal(cut)
				require.NoError(t, err)
				cut = new(roll)
				require.NoError(t, unseal(p, cut))
				cut.index()
			}
			cut.apply(rec)
			a, err := json.Marshal(whole)
			require.NoError(t, err)
			b, err := json.Marshal(cut)
			require.NoError(t, err)
			require.Equal(t, string(a), string(b), "seed %d", seed)
			names := map[string]bool{}
			for _, e := range whole.Entries {
				name := string(e.ID)
				if e.Name != "" {
					name = e.Name
				}
				require.False(t, names[name], "seed %d: two downloads are called %s", seed, name)
				names[name] = true
			}
		}
	}
}

// TestDamagedRecords: damage in the list is left out, and no mount stops at it.
func TestDamagedRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		one := newMachine(t, server, store)
		time.Sleep(3 * time.Second)
		first := one.create(t, "11111111-1111-1111-1111-111111111111")
		time.Sleep(3 * time.Second)
		second := one.create(t, "22222222-2222-2222-2222-222222222222")
		time.Sleep(3 * time.Second)
		keys := store.keys("/list/")
		require.GreaterOrEqual(t, len(keys), 3)
		for i, key := range keys {
			store.edit(key, func(p []byte) []byte {
				if i == 1 {
					return p[:len(p)/2]
				}
				return p
			})
		}
		two := newMachine(t, server, store)
		time.Sleep(5 * time.Second)
		ids := slices.Collect(maps.Keys(two.view()))
		assert.Contains(t, append(ids, string(first.ID())), string(second.ID()))
		third := two.create(t, "33333333-3333-3333-3333-333333333333")
		time.Sleep(5 * time.Second)
		assert.Contains(t, one.view(), string(third.ID()))
	})
}

// TestListWithoutStore: without the store a mount works as it does alone, and later
// tells the others what its user did.
// Proves S-213.
func TestListWithoutStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		store.setTrouble(func(context.Context, string, string) error { return errors.New("no route to host") })
		one, two := newMachine(t, server, store), newMachine(t, server, store)
		d := one.create(t, "11111111-1111-1111-1111-111111111111")
		require.NoError(t, d.Wait(t.Context()))
		require.NoError(t, one.manager.Rename(d, "mine"))
		time.Sleep(time.Minute)
		assert.Empty(t, two.view())
		store.setTrouble(nil)
		time.Sleep(2 * time.Minute)
		assert.Contains(t, same(t, 5*time.Second, one, two), "mine")
	})
}

// TestListForgotten: when somebody has emptied the store, the mounts write what they
// have into it again, and a new mount shows it.
func TestListForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		one, two := newMachine(t, server, store), newMachine(t, server, store)
		time.Sleep(3 * time.Second)
		d := one.create(t, "11111111-1111-1111-1111-111111111111")
		require.NoError(t, one.manager.Rename(d, "kept"))
		time.Sleep(10 * time.Second)
		store.mu.Lock()
		clear(store.objects)
		store.mu.Unlock()
		time.Sleep(3 * snapshotLook)
		e := two.create(t, "22222222-2222-2222-2222-222222222222")
		time.Sleep(10 * time.Second)
		three := newMachine(t, server, store)
		view := same(t, 10*time.Second, one, two, three)
		assert.Contains(t, view, "kept")
		assert.Contains(t, view, string(e.ID()))
	})
}
