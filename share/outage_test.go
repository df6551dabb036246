package share

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// stored makes a download on m and waits until its archive is whole in the store.
func stored(t *testing.T, m *machine) download.ArchiveInfo {
	t.Helper()
	d := m.create(t, "11111111-1111-1111-1111-111111111111")
	require.NoError(t, d.Wait(t.Context()))
	info := d.Snapshot().Archive
	require.NoError(t, m.cached.Fetch(t.Context(), info))
	a, err := m.manager.OpenArchive(d) // what is whole is offered
	require.NoError(t, err)
	require.NoError(t, a.Close())
	for range 100 {
		if _, err := m.share.manifest(t.Context(), info.ID); err == nil {
			return info
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(t, "the archive is not in the store")
	return info
}

func (m *machine) status(t *testing.T, id download.ID) download.Status {
	t.Helper()
	return mustFind(t, m, id).Snapshot().Status
}

// readAll reads an archive as a user does.
func (m *machine) readAll(t *testing.T, id download.ID) ([]byte, error) {
	t.Helper()
	a, err := m.manager.OpenArchive(mustFind(t, m, id))
	if err != nil {
		return nil, err
	}
	defer a.Close()
	p := make([]byte, mustFind(t, m, id).Snapshot().Archive.Size)
	n, err := a.ReadAt(t.Context(), p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return p[:n], err
}

// TestExpiredWhileStoreIsAway: when the content server deletes an archive while the
// store that has it cannot be reached, no mount calls it EXPIRED, and it is readable
// when the store is back.
// Proves S-214.
func TestExpiredWhileStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		one, two := newMachine(t, server, store), newMachine(t, server, store)
		time.Sleep(5 * time.Second)
		info := stored(t, one)
		time.Sleep(10 * time.Second)
		require.Equal(t, download.StatusDone, two.status(t, info.ID))
		want, _ := server.Content(info.ID)
		one.way.setCut(true)
		two.way.setCut(true)
		server.Expire(info.ID)
		time.Sleep(time.Hour)
		assert.Equal(t, download.StatusDone, one.status(t, info.ID))
		assert.Equal(t, download.StatusDone, two.status(t, info.ID))
		one.way.setCut(false)
		two.way.setCut(false)
		time.Sleep(15 * time.Minute)
		assert.Equal(t, download.StatusDone, two.status(t, info.ID))
		got, err := two.readAll(t, info.ID)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
}

// TestOnlyWithoutStore: a mount without a content server that starts while the store is
// away, or is not mounted, shows what its journal knows, and goes on when the store is
// back.
// Proves S-217.
func TestOnlyWithoutStore(t *testing.T) {
	for name, empty := range map[string]bool{"hangs": false, "is empty": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				server, store := downloadtest.NewService(), newMemStore()
				one := newMachine(t, server, store)
				reader := &machine{journal: t.TempDir() + "/journal.db", store: store, only: true}
				reader.start(t)
				defer func() { reader.stop(t) }()
				time.Sleep(5 * time.Second)
				info := stored(t, one)
				want, _ := server.Content(info.ID)
				server.SetPlan(downloadtest.Plan{Zipping: time.Hour})
				pending := one.create(t, "22222222-2222-2222-2222-222222222222")
				time.Sleep(10 * time.Second)
				require.Equal(t, download.StatusDone, reader.status(t, info.ID))
				require.Equal(t, download.StatusInProgress, reader.status(t, pending.ID()))
				reader.stop(t)

				away := &behind{Store: store, cut: !empty, empty: empty}
				reader.store = away
				reader.start(t)
				time.Sleep(30 * time.Minute)
				assert.Equal(t, download.StatusDone, reader.status(t, info.ID))
				assert.Equal(t, download.StatusInProgress, reader.status(t, pending.ID()))
				away.setCut(false)
				time.Sleep(time.Hour)
				got, err := reader.readAll(t, info.ID)
				require.NoError(t, err)
				assert.Equal(t, want, got)
				assert.Equal(t, download.StatusDone, reader.status(t, pending.ID()))
			})
		})
	}
}

// refusesWrites is a store whose disk is full, or that may only be read.
func refusesWrites(_ context.Context, op, _ string) error {
	if op == "create" || op == "delete" {
		return errors.New("no space left on device")
	}
	return nil
}

// TestFullStore: from a store that takes nothing more, archives that the content server
// has deleted are read all the same.
// Proves S-213.
func TestFullStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		old, fresh := s.add("a", 40*mib), s.add("b", 40*mib)
		one := newMount(t, s, store)
		require.NoError(t, one.read(old))
		one.settled(old)
		want := s.content("a")
		s.expire("a")
		store.setTrouble(refusesWrites)
		two := newMount(t, s, store)
		for off := int64(0); off < old.Size; off += mib {
			require.NoError(t, two.readRange(fresh, s.content("b"), off, off+mib))
			require.NoError(t, two.readRange(old, want, off, off+mib), "at %d", off)
			time.Sleep(time.Second)
		}
	})
}

// TestListOfFullStore: a mount that cannot tell the others anything follows what they
// have told.
// Proves S-213.
func TestListOfFullStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		one := newMachine(t, server, store)
		time.Sleep(5 * time.Second)
		first := one.create(t, "11111111-1111-1111-1111-111111111111")
		time.Sleep(5 * time.Second)
		full := newMemStore()
		full.setTrouble(refusesWrites)
		two := newMachine(t, server, readThrough{full, store})
		mine := two.create(t, "22222222-2222-2222-2222-222222222222")
		second := one.create(t, "33333333-3333-3333-3333-333333333333")
		time.Sleep(10 * time.Second)
		assert.Contains(t, two.view(), string(first.ID()))
		assert.Contains(t, two.view(), string(second.ID()))
		require.NoError(t, one.manager.Remove(first))
		time.Sleep(10 * time.Second)
		assert.NotContains(t, two.view(), string(first.ID()))
		assert.Contains(t, two.view(), string(mine.ID()))
		assert.NotContains(t, one.view(), string(mine.ID()))
	})
}

// readThrough reads from one store and writes to another.
type readThrough struct {
	writes Store
	Store
}

func (r readThrough) Create(ctx context.Context, key string, body []byte) error {
	return r.writes.Create(ctx, key, body)
}

func (r readThrough) Delete(ctx context.Context, key string) error { return r.writes.Delete(ctx, key) }

// TestImpossibleSnapshots: a snapshot of the list that says what no mount writes is
// passed over, and ends no mount.
func TestImpossibleSnapshots(t *testing.T) {
	const id = "11111111-1111-1111-1111-111111111111"
	for name, entries := range map[string][]*entry{
		"an entry that is nothing": {nil},
		"an id that is a path":     {{ID: "../../x"}},
		"no id":                    {{}},
		"one download twice":       {{ID: id}, {ID: id}},
		"one name twice":           {{ID: "a", Name: "x"}, {ID: "b", Name: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				server, store := downloadtest.NewService(), newMemStore()
				p, err := seal(&roll{V: recordVersion, Seq: 7, Log: "x", Entries: entries})
				require.NoError(t, err)
				require.NoError(t, store.Create(t.Context(), Prefix(Account("test"))+"/"+linkKey(snapshotPrefix, 7), p))
				one, two := newMachine(t, server, store), newMachine(t, server, store)
				time.Sleep(10 * time.Second)
				d := one.create(t, id)
				time.Sleep(10 * time.Second)
				assert.Len(t, same(t, 5*time.Second, one, two), 1)
				assert.Contains(t, two.view(), string(d.ID()))
			})
		})
	}
}
