package share

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

const mib = 1 << 20

// TestReadThrough: what one mount has fetched, another reads from the store, whole and
// by ranges, and the content server sends it once.
// Proves S-209.
func TestReadThrough(t *testing.T) {
	for _, size := range []int{1, mib - 1, mib, mib + 1, 16 * mib, 16*mib + 1, 17*mib + 5, 40*mib + 123} {
		bubble(t, func(t *testing.T) {
			s, store := newServer(), newMemStore()
			info := s.add("a", size)
			one, two := newMount(t, s, store), newMount(t, s, store)
			require.NoError(t, one.read(info))
			one.settled(info)
			require.EqualValues(t, size, s.bytesSent(), "the content server sent more than once to the first mount")
			want := s.content("a")
			r := rand.New(rand.NewPCG(1, uint64(size)))
			for range 20 {
				off := r.Int64N(info.Size)
				end := off + 1 + r.Int64N(info.Size-off)
				rc, err := two.source.Stream(t.Context(), info, off, end)
				require.NoError(t, err)
				got := make([]byte, 0, end-off)
				for p := make([]byte, 100_000); err == nil; {
					var n int
					n, err = rc.Read(p)
					got = append(got, p[:n]...)
				}
				require.NoError(t, rc.Close())
				require.True(t, string(want[off:end]) == string(got), "[%d,%d)", off, end)
			}
			require.NoError(t, two.read(info))
			assert.EqualValues(t, size, s.bytesSent(), "the second mount asked the content server")
			assert.Len(t, store.keys("/lease/"), 1, "more than the end of the lease is left")
			assert.Empty(t, store.keys("/clock/"), "a clock is left")
			assert.NotContains(t, one.log.String()+two.log.String(), "level=WARN")
		})
	}
}

// TestTenReadersOneFetch: ten mounts that read one archive at the same moment make the
// content server send it once.
// Proves S-209.
func TestTenReadersOneFetch(t *testing.T) {
	for seed := range seeds(2, 20) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, seed))
			s, store := newServer(), newMemStore()
			s.pace = time.Duration(r.IntN(200)) * time.Millisecond
			store.latency = time.Duration(1+r.IntN(50)) * time.Millisecond
			store.pace = time.Duration(r.IntN(20)) * time.Millisecond
			store.skew = time.Duration(r.IntN(7200)-3600) * time.Second
			info := s.add("a", 34*mib+777)
			var wg sync.WaitGroup
			for range 10 {
				m := newMount(t, s, store)
				delay := time.Duration(r.IntN(3)) * time.Second
				wg.Go(func() {
					time.Sleep(delay)
					assert.NoError(t, m.read(info))
				})
			}
			wg.Wait()
			assert.Equal(t, info.Size, s.bytesSent(), "seed %d", seed)
		})
	}
}

// TestHolderDies: when the mount that fetches an archive for all vanishes, another goes
// on within a minute, and what is there is not fetched again.
// Proves S-210.
func TestHolderDies(t *testing.T) {
	for seed := range seeds(2, 20) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, seed))
			s, store := newServer(), newMemStore()
			s.pace = 100 * time.Millisecond
			store.latency = 10 * time.Millisecond
			info := s.add("a", 100*mib)
			first := newMount(t, s, store)
			ctx, kill := context.WithCancel(t.Context())
			go func() {
				a, _ := first.archives.Open(info)
				_, _ = a.ReadAt(ctx, make([]byte, info.Size), 0)
			}()
			time.Sleep(time.Second)
			var wg sync.WaitGroup
			began := time.Now()
			for range 5 {
				m := newMount(t, s, store)
				wg.Go(func() { assert.NoError(t, m.read(info)) })
			}
			time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
			there := int64(len(store.keys("/p-"))) * pieceBlocks * blockSize
			kill() // kill -9: it says nothing to anybody
			first.way.setCut(true)
			first.share.cancel()
			before := s.bytesSent()
			wg.Wait()
			took := time.Since(began)
			// 10 s of fetching, up to a minute without anybody, and at most the five
			// pieces that impatient readers fetched themselves.
			assert.Less(t, took, 100*time.Second, "seed %d", seed)
			again := s.bytesSent() - before - max(info.Size-there, 0)
			assert.LessOrEqual(t, again, int64(10*pieceBlocks*blockSize), "seed %d: too much was fetched again", seed)
		})
	}
}

// TestManyAtOnce: a mount that begins to read many archives in the same moment holds the
// leases only of those that it fetches. Another mount can fetch the others.
// Proves S-209.
func TestManyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		s.pace, store.latency = 10*time.Second, 10*time.Millisecond
		var infos []download.ArchiveInfo
		for i := range 2 * maxUploads {
			infos = append(infos, s.add(download.ID('a'+rune(i)), 2*mib))
		}
		roles := func(m *mount) map[role]int {
			var mu sync.Mutex
			found := make(map[role]int)
			var wg sync.WaitGroup
			for _, info := range infos {
				wg.Go(func() {
					r, err := m.share.archive(info).look(t.Context())
					assert.NoError(t, err)
					mu.Lock()
					defer mu.Unlock()
					found[r]++
				})
			}
			wg.Wait()
			return found
		}
		assert.Equal(t, map[role]int{holder: maxUploads, away: maxUploads}, roles(newMount(t, s, store)))
		assert.Equal(t, map[role]int{follower: maxUploads, holder: maxUploads}, roles(newMount(t, s, store)))
	})
}

// TestExpiredStaysReadable: an archive that the content server has deleted is DONE and
// readable for a mount that has never seen it.
// Proves S-214.
func TestExpiredStaysReadable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		info := s.add("a", 20*mib)
		one := newMount(t, s, store)
		p, err := one.service.Get(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, one.read(info))
		one.settled(info)
		want := s.content("a")
		s.expire("a")

		two := newMount(t, s, store)
		again, err := two.service.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, p, again)
		told, err := two.service.Archive(t.Context(), "a")
		require.NoError(t, err)
		assert.True(t, told.ModifiedAt.Equal(info.ModifiedAt))
		told.ModifiedAt = info.ModifiedAt
		assert.Equal(t, info, told)
		require.NoError(t, two.readRange(info, want, 0, info.Size))

		// Removed anywhere, it is gone everywhere.
		require.NoError(t, two.service.Delete(t.Context(), "a"))
		_, err = one.service.Get(t.Context(), "a")
		assert.ErrorIs(t, err, download.ErrNotFound)
		assert.Empty(t, store.keys(""))
	})
}

// TestRemovedWhileFetched: after a removal, the mount that was fetching the archive for
// all leaves nothing of it behind.
// Proves S-216.
func TestRemovedWhileFetched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		s.pace = 100 * time.Millisecond
		info := s.add("a", 100*mib)
		m := newMount(t, s, store)
		require.NoError(t, m.readRange(info, s.content("a"), 0, mib))
		time.Sleep(5 * time.Second)
		require.NotEmpty(t, store.keys("/p-"))
		require.NoError(t, m.service.Delete(t.Context(), "a"))
		time.Sleep(time.Minute)
		assert.Empty(t, store.keys(""))
	})
}

// TestRemovedElsewhereWhileFetched: so it is when another mount has removed it.
// Proves S-216.
func TestRemovedElsewhereWhileFetched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		s.pace = 100 * time.Millisecond
		info := s.add("a", 100*mib)
		m := newMount(t, s, store)
		m.share.Follow(&fleetMount{mount: m})
		require.NoError(t, m.readRange(info, s.content("a"), 0, mib))
		time.Sleep(3 * time.Second)
		other := newMount(t, s, store)
		require.NoError(t, other.share.deleteArchive(t.Context(), "a"))
		time.Sleep(2 * time.Second)
		require.NotEmpty(t, store.keys("/p-"))
		l := m.share.list
		l.mu.Lock()
		l.gone["a"] = true // as follow does
		l.mu.Unlock()
		require.ErrorIs(t, m.service.Delete(t.Context(), "a"), download.ErrNotFound)
		assert.Empty(t, store.keys("/archive/"))
		assert.NotEmpty(t, s.content("a"), "both tell the content server")
	})
}

// TestTroubledStore: a store that fails, hangs, or is slow costs time, and not much of
// it. Readers get the right bytes from the content server.
// Proves S-213.
func TestTroubledStore(t *testing.T) {
	troubles := map[string]func(ctx context.Context, op, key string) error{
		"fails": func(context.Context, string, string) error { return errors.New("no such host") },
		"hangs": func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() },
		"hangs and cannot be interrupted": func(context.Context, string, string) error {
			time.Sleep(time.Hour)
			return errors.New("stale file handle")
		},
		"writes nothing": func(ctx context.Context, op, _ string) error {
			if op == "create" {
				return errors.New("permission denied")
			}
			return nil
		},
		"lists nothing": func(_ context.Context, op, _ string) error {
			if op == "list" {
				return errors.New("access denied")
			}
			return nil
		},
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, store := newServer(), newMemStore()
				info := s.add("a", 20*mib)
				other := s.add("b", 20*mib)
				one, two := newMount(t, s, store), newMount(t, s, store)
				require.NoError(t, one.read(info))
				one.settled(info)
				store.setTrouble(trouble)
				began := time.Now()
				require.NoError(t, two.read(info))
				require.NoError(t, two.read(other))
				assert.Less(t, time.Since(began), time.Minute)
				assert.LessOrEqual(t, strings.Count(two.log.String(), "level=WARN"), 1, "%s", two.log)

				// And when it is well again, it is used again.
				store.setTrouble(nil)
				time.Sleep(2 * time.Hour) // also until what hangs has ended
				require.NoError(t, two.read(other))
				two.settled(other)
				sent := s.bytesSent()
				require.NoError(t, newMount(t, s, store).read(other))
				assert.Equal(t, sent, s.bytesSent())
			})
		})
	}
}

// TestSlowStore: a store that is slower than a byte in a while is left.
// Proves S-213.
func TestSlowStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		info := s.add("a", 40*mib)
		one := newMount(t, s, store)
		require.NoError(t, one.read(info))
		one.settled(info)
		store.pace = 20 * time.Second
		began := time.Now()
		require.NoError(t, newMount(t, s, store).read(info))
		assert.Less(t, time.Since(began), 2*time.Minute)
	})
}

// TestNotWhole: a mount that does not fetch ahead neither waits for others nor fetches
// for them. What it has whole it puts into the store.
func TestNotWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		info := s.add("a", 40*mib)
		one := newMount(t, s, store, func(c *Config) { c.Whole = false })
		require.NoError(t, one.readRange(info, s.content("a"), 0, mib))
		time.Sleep(time.Minute)
		assert.Empty(t, store.keys(""))
		require.NoError(t, one.read(info))
		time.Sleep(time.Minute)
		require.NoError(t, one.readRange(info, s.content("a"), 0, 1)) // opens it again
		one.settled(info)
	})
}

// TestNotListed: what is not in the list, such as a part, is not shared, nor is a
// node's own content.
func TestNotListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		part, node := s.add("part", 3*mib), s.add("node", 3*mib)
		node.Node = "node"
		one := newMount(t, s, store, func(c *Config) { c.Listed = func(id download.ID) bool { return id != "part" } })
		require.NoError(t, one.read(part))
		require.NoError(t, one.read(node))
		time.Sleep(time.Minute)
		assert.Empty(t, store.keys(""))
	})
}

// TestSizeOfShare: the oldest archives make room, and what can never fit is not shared.
// Proves S-216.
func TestSizeOfShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		one := newMount(t, s, store, func(c *Config) { c.Size = 50 * mib })
		for _, id := range []download.ID{"a", "b", "c", "d"} {
			info := s.add(id, 20*mib)
			require.NoError(t, one.read(info))
			one.settled(info)
			time.Sleep(2 * time.Minute)
		}
		assert.Len(t, store.keys("/done"), 2)
		assert.Empty(t, store.keys("/archive/a/"))
		assert.Empty(t, store.keys("/archive/b/"))
		require.NoError(t, one.read(s.add("huge", 51*mib)))
		time.Sleep(time.Minute)
		assert.Empty(t, store.keys("/archive/huge/"))
	})
}
