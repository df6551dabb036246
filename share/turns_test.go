package share

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// site is a folder that no zip of its server can hold.
type site struct {
	*downloadtest.Service
	folder download.NodeID
	files  []download.NodeID
	sizes  map[download.NodeID]int64
}

// partsOfSite is in how many parts a site comes.
const partsOfSite = 4

func newSite() *site {
	s := &site{Service: downloadtest.NewService(), sizes: make(map[download.NodeID]int64)}
	s.SetPlan(downloadtest.Plan{Zipping: 5 * time.Second, Bytes: 1, Files: 1})
	s.folder = s.AddFile("/site", nil)
	s.SetPlanOf(s.folder, downloadtest.Plan{Bytes: 3200, Limit: 1000})
	for i := range 2 * partsOfSite {
		data := bytes.Repeat([]byte{byte('a' + i)}, 400)
		id := s.AddFile(fmt.Sprintf("/site/%d.txt", i), data)
		s.files, s.sizes[id] = append(s.files, id), int64(len(data))
	}
	return s
}

func (s *site) Node(_ context.Context, id download.NodeID) (download.Node, error) {
	if id == s.folder {
		return download.Node{ID: id, Name: "site", Folder: true}, nil
	}
	for i, f := range s.files {
		if f == id {
			return download.Node{ID: id, Name: fmt.Sprintf("%d.txt", i), Size: s.sizes[id]}, nil
		}
	}
	return download.Node{}, download.ErrNotFound
}

func (s *site) Children(ctx context.Context, id download.NodeID, skip int) (page []download.Node, more bool, err error) {
	if id != s.folder {
		return nil, false, download.ErrNotFound
	}
	for _, f := range s.files[skip:] {
		n, err := s.Node(ctx, f)
		if err != nil {
			return nil, false, err
		}
		page = append(page, n)
	}
	return page, false, nil
}

func (s *site) machine(t *testing.T, store Store, edit ...func(*machine)) *machine {
	t.Helper()
	return newMachine(t, s.Service, store, append([]func(*machine){func(m *machine) { m.nodes = s }}, edit...)...)
}

func (s *site) machines(t *testing.T, store Store, n int) (ms []*machine) {
	t.Helper()
	for range n {
		ms = append(ms, s.machine(t, store))
	}
	time.Sleep(3 * time.Second)
	return ms
}

func (m *machine) ask(t *testing.T, node download.NodeID) download.ID {
	t.Helper()
	return m.create(t, string(node)).ID()
}

// get waits for an archive and reads it.
func (m *machine) get(t *testing.T, id download.ID) string {
	t.Helper()
	d := mustFind(t, m, id)
	require.NoError(t, d.Wait(t.Context()))
	text, err := m.readAll(t, id)
	require.NoError(t, err)
	return string(text)
}

// shows returns what a machine shows of a download, also if that is nothing.
func (m *machine) shows(id download.ID) download.Status {
	if d, ok := m.manager.ByID(id); ok {
		return d.Snapshot().Status
	}
	return ""
}

// await waits until a download has a status on all machines.
func await(t *testing.T, within time.Duration, id download.ID, status download.Status, ms ...*machine) {
	t.Helper()
	began := time.Now()
	for _, m := range ms {
		for m.shows(id) != status {
			require.Less(t, time.Since(began), within, "%s, not %s", m.shows(id), status)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// half returns three machines, the download that the first asked for a while ago, and
// which of them is getting its parts.
func half(t *testing.T, since time.Duration) (s *site, ms []*machine, id download.ID, holder *machine) {
	t.Helper()
	s = newSite()
	ms = s.machines(t, newMemStore(), 3)
	id = ms[0].ask(t, s.folder)
	time.Sleep(since)
	for _, m := range ms {
		if m.share.list.turn(id) != nil {
			require.Nil(t, holder, "two machines get the parts")
			holder = m
		}
	}
	require.NotNil(t, holder)
	return s, ms, id, holder
}

// TestPartsOnce: of many machines one gets a download in parts, and all have its
// archive, also those that come later. All see how far it is. It is removed everywhere.
// Proves S-226.
func TestPartsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newSite(), newMemStore()
		ms := s.machines(t, store, 5)
		id := ms[0].ask(t, s.folder)
		await(t, time.Minute, id, download.StatusInProgress, ms...)
		for i, m := range ms {
			began, p := time.Now(), download.Progress{Status: download.StatusInProgress}
			for p.Status == download.StatusInProgress && p.BytesAdded == 0 {
				require.Less(t, time.Since(began), 30*time.Second, "machine %d", i)
				time.Sleep(100 * time.Millisecond)
				p = mustFind(t, m, id).Snapshot().Progress
			}
			assert.Equal(t, download.StatusInProgress, p.Status, "machine %d", i)
			assert.Positive(t, p.BytesAdded, "machine %d", i)
			assert.Greater(t, p.TotalBytes, p.BytesAdded, "machine %d", i)
		}
		archives := make(map[string]bool)
		for _, m := range ms {
			archives[m.get(t, id)] = true
		}
		require.Len(t, archives, 1)
		for text := range archives {
			z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
			require.NoError(t, err)
			require.Len(t, z.File, 1+len(s.files), "with the folder")
			for i, f := range z.File[1:] {
				rc, err := f.Open()
				require.NoError(t, err)
				data, err := io.ReadAll(rc)
				require.NoError(t, err)
				assert.Equal(t, strings.Repeat(string(rune('a'+i)), 400), string(data))
			}
		}
		assert.Equal(t, 1+partsOfSite, s.Count("Create"), "more than one machine got the parts")
		late := s.machine(t, store)
		<-late.share.Synced()
		assert.True(t, archives[late.get(t, id)])
		assert.Equal(t, 1+partsOfSite, s.Count("Create"))
		assert.Len(t, s.DownloadIDs(), 1, "the server still has a part")
		for _, m := range append(ms, late) {
			name := mustFind(t, m, id).Snapshot().Archive.Name
			assert.Equal(t, "site.zip", name)
		}

		require.NoError(t, ms[3].manager.Remove(mustFind(t, ms[3], id)))
		time.Sleep(30 * time.Second)
		for _, m := range append(ms, late) {
			assert.Empty(t, m.view())
		}
		assert.Empty(t, store.keys("/archive/"))
		assert.Empty(t, s.DownloadIDs())
	})
}

// TestPartsHolderDies: when the machine that gets the parts vanishes, another gets them.
// Proves S-226.
func TestPartsHolderDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, ms, id, holder := half(t, 10*time.Second)
		holder.way.setCut(true) // it says nothing any more
		holder.share.cancel()
		require.NoError(t, holder.manager.Close())
		began := time.Now()
		for _, m := range ms {
			if m != holder {
				m.get(t, id)
			}
		}
		assert.Less(t, time.Since(began), 2*time.Minute)
		assert.LessOrEqual(t, s.Count("Create"), 1+2*partsOfSite)
	})
}

// TestPartsRestart: a machine that gets the parts and is restarted goes on with what it
// has.
// Proves S-226.
func TestPartsRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, ms, id, holder := half(t, 15*time.Second)
		holder.stop(t)
		time.Sleep(5 * time.Second)
		holder.start(t)
		for _, m := range ms {
			m.get(t, id)
		}
		assert.LessOrEqual(t, s.Count("Create"), 1+partsOfSite)
	})
}

// TestPartsCancelled: what is cancelled on one machine, while another gets its parts, is
// cancelled on all.
// Proves S-226.
func TestPartsCancelled(t *testing.T) {
	for _, by := range []string{"who gets the parts", "another"} {
		bubble(t, func(t *testing.T) {
			s, ms, id, holder := half(t, 10*time.Second)
			for _, m := range ms {
				if (m == holder) == (by == "who gets the parts") {
					require.NoError(t, m.manager.Discard(mustFind(t, m, id)))
					break
				}
			}
			await(t, 10*time.Second, id, download.StatusCancelled, ms...)
			time.Sleep(2 * time.Minute)
			await(t, time.Second, id, download.StatusCancelled, ms...)
			assert.Less(t, s.Count("Create"), 1+partsOfSite, by)
			assert.Len(t, s.DownloadIDs(), 1, "a part stays on the server")
		})
	}
}

// TestPartsNoRoomHere: a machine without room for the parts leaves them to another, and
// then has the archive too.
// Proves S-226.
func TestPartsNoRoomHere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newSite(), newMemStore()
		small := s.machine(t, store, func(m *machine) {
			m.cached = downloadtest.NewArchives(m)
			m.cached.Limit = 100
		})
		time.Sleep(3 * time.Second)
		id := small.ask(t, s.folder)
		await(t, time.Minute, id, download.StatusTooLarge, small)
		large := s.machine(t, store)
		<-large.share.Synced()
		text := large.get(t, id)
		await(t, 10*time.Second, id, download.StatusDone, small)
		assert.Equal(t, text, small.get(t, id))
		assert.Equal(t, 1+partsOfSite, s.Count("Create"))
	})
}

// TestPartsNoRoomInShare: if the share cannot hold the archive, each machine gets the
// parts itself.
// Proves S-227.
func TestPartsNoRoomInShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newSite(), newMemStore()
		tiny := func(m *machine) { m.size = 100 }
		one, two := s.machine(t, store, tiny), s.machine(t, store, tiny)
		time.Sleep(3 * time.Second)
		id := one.ask(t, s.folder)
		time.Sleep(5 * time.Second)
		assert.NotEmpty(t, one.get(t, id))
		assert.NotEmpty(t, two.get(t, id))
		assert.Equal(t, 1+2*partsOfSite, s.Count("Create"))
		assert.Empty(t, store.keys("/archive/"))
	})
}

// TestPartsWithoutStore: without the store each machine gets the parts itself, and later
// the archive is in the store all the same.
// Proves S-227.
func TestPartsWithoutStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newSite(), newMemStore()
		one := s.machine(t, store)
		time.Sleep(3 * time.Second)
		store.setTrouble(func(context.Context, string, string) error { return errors.New("no route to host") })
		id := one.ask(t, s.folder)
		text := one.get(t, id)
		store.setTrouble(nil)
		time.Sleep(3 * time.Minute)
		two := s.machine(t, store)
		<-two.share.Synced()
		assert.Equal(t, text, two.get(t, id))
		assert.Equal(t, 1+partsOfSite, s.Count("Create"))
	})
}

// TestPartsLost: if the share loses the archive, it is EXPIRED where it was read from
// there. The machine that made it still has it, and puts it there again when it starts.
func TestPartsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newSite(), newMemStore()
		one := s.machine(t, store)
		time.Sleep(3 * time.Second)
		id := one.ask(t, s.folder)
		text := one.get(t, id)
		for len(store.keys(string(id)+"/done")) == 0 {
			time.Sleep(time.Second)
		}
		two := s.machine(t, store)
		<-two.share.Synced()
		await(t, 10*time.Second, id, download.StatusDone, two)
		require.NoError(t, two.share.deleteArchive(t.Context(), id))
		_, err := two.readAll(t, id)
		require.ErrorIs(t, err, download.ErrExpired)
		await(t, 20*time.Minute, id, download.StatusExpired, two)
		assert.Equal(t, text, one.get(t, id))
		one.stop(t)
		one.start(t)
		time.Sleep(time.Minute)
		three := s.machine(t, store)
		<-three.share.Synced()
		assert.Equal(t, text, three.get(t, id))
		assert.Equal(t, 1+partsOfSite, s.Count("Create"))
	})
}

// TestPartsDiscarded: who made the archive and throws its copy away reads it from the
// share too, also after the loss of the cache.
func TestPartsDiscarded(t *testing.T) {
	for _, how := range []string{"rm", "the cache is lost"} {
		bubble(t, func(t *testing.T) {
			s, store := newSite(), newMemStore()
			one := s.machine(t, store)
			time.Sleep(3 * time.Second)
			id := one.ask(t, s.folder)
			text := one.get(t, id)
			time.Sleep(10 * time.Second)
			if how == "rm" {
				require.NoError(t, one.manager.Discard(mustFind(t, one, id)))
			} else {
				one.stop(t)
				one.cached = nil
				one.start(t)
			}
			time.Sleep(10 * time.Second)
			assert.Equal(t, text, one.get(t, id), how)
			assert.Equal(t, 1+partsOfSite, s.Count("Create"))
			one.stop(t)
			one.start(t)
			time.Sleep(10 * time.Second)
			assert.Equal(t, text, one.get(t, id), how)
		})
	}
}

// TestPartsOfOwnSize: a machine with a limit of its own has the server stop zipping all
// at once, if the download is its own. Nobody takes that for a cancelling.
func TestPartsOfOwnSize(t *testing.T) {
	for who, creates := range []int{1 + partsOfSite, 1, 1} {
		bubble(t, func(t *testing.T) {
			s, store := newSite(), newMemStore()
			s.SetPlanOf(s.folder, downloadtest.Plan{Pending: 20 * time.Second, Zipping: 10 * time.Minute, Bytes: 3200})
			var ms []*machine
			for i := range 3 {
				ms = append(ms, s.machine(t, store, func(m *machine) {
					if i == who {
						m.partSize = 1000
					}
				}))
			}
			time.Sleep(3 * time.Second)
			id := ms[0].ask(t, s.folder)
			time.Sleep(5 * time.Second)
			archives := make(map[string]bool)
			for _, m := range ms {
				archives[m.get(t, id)] = true
			}
			assert.Len(t, archives, 1)
			assert.Equal(t, creates, s.Count("Create"))
		})
	}
}

// TestManyNodes: a download of many nodes is listed everywhere with all of them.
// Proves S-207.
func TestManyNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, store := downloadtest.NewService(), newMemStore()
		one, two := newMachine(t, server, store), newMachine(t, server, store)
		time.Sleep(3 * time.Second)
		var list download.List
		for i := range 3*maxNodes + 1 {
			list.Entries = append(list.Entries, download.Entry{Node: download.NodeID(fmt.Sprintf("%08d-1111-1111-1111-111111111111", i))})
		}
		d, err := one.manager.Create(t.Context(), list)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		three := newMachine(t, server, store)
		<-three.share.Synced()
		for _, m := range []*machine{two, three} {
			assert.Equal(t, d.NodeIDs(), mustFind(t, m, d.ID()).NodeIDs())
		}
		store.age(48 * time.Hour)
		_, err = Prune(t.Context(), store, nil, PruneOptions{Size: -1})
		require.NoError(t, err)
		require.Len(t, store.keys("/nodes/"), 1, "prune drops what is listed")
		require.NoError(t, two.manager.Remove(mustFind(t, two, d.ID())))
		time.Sleep(time.Minute)
		assert.Empty(t, store.keys("/nodes/"))
		require.NoError(t, store.Create(t.Context(), Prefix(Account("test"))+"/"+nodesKey("nobody-lists-it"), nil))
		store.age(48 * time.Hour)
		_, err = Prune(t.Context(), store, nil, PruneOptions{Size: -1})
		require.NoError(t, err)
		assert.Empty(t, store.keys("/nodes/"))
	})
}
