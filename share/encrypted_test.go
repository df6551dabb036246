package share

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	text, err := NewKey()
	require.NoError(t, err)
	k, err := ParseKey(bytes.NewReader(text))
	require.NoError(t, err)
	return k
}

func readObject(t *testing.T, s Store, key string, off, n int64) ([]byte, error) {
	t.Helper()
	rc, err := s.Open(t.Context(), key, off, n)
	require.NoError(t, err)
	defer rc.Close()
	return io.ReadAll(rc)
}

// TestEncryptedRanges: every range of an object of every size is what was written, and
// nothing of it is to be seen in the store.
// Proves S-221.
func TestEncryptedRanges(t *testing.T) {
	t.Parallel()
	store, r := newMemStore(), rand.New(rand.NewPCG(1, 1))
	s := &encrypted{Store: store, key: newKey(t), account: "x"}
	secret, tries := []byte("nobody is to see this"), 0
	for _, size := range []int64{0, 1, 100, firstFrame - 1, firstFrame, firstFrame + 1, firstFrame + frameSize - 1, firstFrame + frameSize,
		firstFrame + frameSize + 1, firstFrame + 3*frameSize, firstFrame + 3*frameSize + 77} {
		body := bytes.Repeat(secret, int(size)/len(secret)+1)[:size]
		key := fmt.Sprint("object/", size)
		require.NoError(t, s.Create(t.Context(), key, body))
		assert.NotContains(t, string(store.objects[key].data), string(secret))
		assert.True(t, isEncrypted(store.objects[key].data))
		all, err := readObject(t, s, key, 0, -1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, all), "size %d", size)
		edges := []int64{0, 1, firstFrame - 1, firstFrame, firstFrame + 1, firstFrame + frameSize, firstFrame + frameSize + 1, size / 2, size - 1, size, size + 1}
		for range 4 {
			edges = append(edges, r.Int64N(size+10))
		}
		for _, off := range edges {
			for _, n := range []int64{0, 1, 7, firstFrame, frameSize, frameSize + 3, -1} {
				if tries++; off < 0 || tries%oneOf != 0 {
					continue
				}
				want := body[min(off, size):]
				if n >= 0 {
					want = want[:min(n, int64(len(want)))]
				}
				got, err := readObject(t, s, key, off, n)
				require.NoError(t, err, "size %d, [%d,%d)", size, off, off+n)
				require.True(t, bytes.Equal(want, got), "size %d, [%d,%d)", size, off, off+n)
			}
		}
	}
}

// TestEncryptedDamage: what was changed, cut off, added or moved is damage, wherever it
// is. What another key has encrypted is not.
// Proves S-221.
func TestEncryptedDamage(t *testing.T) {
	t.Parallel()
	store := newMemStore()
	s := &encrypted{Store: store, key: newKey(t), account: "x"}
	body := bytes.Repeat([]byte("0123456789abcdef"), (firstFrame+2*frameSize)/16)
	body = append(body, "the end"...)
	require.NoError(t, s.Create(t.Context(), "a", body))
	good := bytes.Clone(store.objects["a"].data)
	expect := func(what string, data []byte) {
		t.Helper()
		store.edit("a", func([]byte) []byte { return data })
		_, err := readObject(t, s, "a", 0, -1)
		require.ErrorIs(t, err, errDamaged, what)
		require.NotErrorIs(t, err, errOtherKey, what)
	}
	starts := []int64{encryptedStart(0), encryptedStart(1), encryptedStart(2), encryptedStart(3), int64(len(good))}
	for _, start := range starts[:4] {
		for at := start; at < min(start+frameHeader+100, int64(len(good))); at += 11 * oneOf {
			bad := bytes.Clone(good)
			bad[at] ^= 0x10
			expect(fmt.Sprintf("byte %d", at), bad)
		}
	}
	for _, at := range []int64{starts[1] - 1, starts[2] - 1, starts[3] - 1, starts[4] - 1, starts[2] + 500_000} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		expect(fmt.Sprintf("byte %d", at), bad)
	}
	for _, end := range []int64{0, 1, 100, starts[1] - 1, starts[1], starts[1] + 10, starts[2], starts[3], starts[3] + 190, starts[4] - 1} {
		expect(fmt.Sprintf("%d bytes", end), good[:end])
	}
	expect("a byte more", append(bytes.Clone(good), 0))
	expect("a frame more", append(bytes.Clone(good), good[starts[3]:]...))
	frame := func(i int) []byte { return good[starts[i]:starts[i+1]] }
	expect("two frames swapped", bytes.Join([][]byte{frame(0), frame(2), frame(1), frame(3)}, nil))
	expect("a frame twice", bytes.Join([][]byte{frame(0), frame(1), frame(1), frame(3)}, nil))
	expect("a frame missing", bytes.Join([][]byte{frame(0), frame(1), frame(3)}, nil))
	expect("not encrypted", body)

	require.NoError(t, s.Create(t.Context(), "b", body))
	expect("of another object", store.objects["b"].data)
	other := &encrypted{Store: store, key: s.key, account: "y"}
	require.NoError(t, other.Create(t.Context(), "c", body))
	store.edit("a", func([]byte) []byte { return store.objects["c"].data })
	_, err := readObject(t, &encrypted{Store: store, key: s.key, account: "x"}, "c", 0, -1)
	require.ErrorIs(t, err, errDamaged, "of another account")

	store.edit("a", func([]byte) []byte { return good })
	for _, off := range []int64{0, firstFrame + 5, firstFrame + frameSize} {
		_, err = readObject(t, &encrypted{Store: store, key: newKey(t), account: "x"}, "a", off, 10)
		require.ErrorIs(t, err, errOtherKey)
		require.NotErrorIs(t, err, errDamaged)
	}
	// Who has the old key and the new one reads what either has written.
	both := &Key{identities: append(newKey(t).identities, s.key.identities...)}
	got, err := readObject(t, &encrypted{Store: store, key: both, account: "x"}, "a", 0, -1)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))
}

// snapshot is a copy of everything in the store.
func (m *memStore) snapshot() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]string)
	for key, o := range m.objects {
		all[key] = string(o.data)
	}
	return all
}

// TestNoFormat: of an account without the format object nothing is known, so the commands
// change nothing of it and do not ask for a key. A mount without a key writes the object.
func TestNoFormat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		info := s.add("a", 20*mib)
		one := newMount(t, s, store)
		require.NoError(t, one.read(info))
		one.settled(info)
		require.NoError(t, store.Delete(t.Context(), Prefix(Account("test"))+"/"+formatKey))
		store.age(48 * time.Hour)
		before := store.snapshot()
		for _, key := range []*Key{nil, newKey(t)} {
			archives, err := List(t.Context(), store, key)
			require.NoError(t, err)
			require.Len(t, archives, 1)
			assert.True(t, archives[0].Unmarked && !archives[0].Locked)
			v, err := Verify(t.Context(), store, key)
			require.NoError(t, err)
			assert.Equal(t, Verification{Unmarked: 1}, v)
			p, err := Prune(t.Context(), store, key, PruneOptions{Size: 0, Age: time.Minute})
			require.NoError(t, err)
			assert.Equal(t, Pruned{Unmarked: 1}, p)
			assert.Equal(t, before, store.snapshot())
		}
		require.NoError(t, newMount(t, s, store).share.Check(t.Context()))
		v, err := Verify(t.Context(), store, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, v.Archives)
	})
}

// TestNoFormatOfEncrypted: an encrypted share whose format object somebody has removed is
// not taken for a plain one, nor for one of whatever key comes first.
// Proves S-222.
func TestNoFormatOfEncrypted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store, key := newServer(), newMemStore(), newKey(t)
		with := func(key *Key) func(*Config) { return func(cfg *Config) { cfg.Key = key } }
		info := s.add("a", 20*mib)
		one := newMount(t, s, store, with(key))
		require.NoError(t, one.read(info))
		one.settled(info)
		require.NoError(t, store.Delete(t.Context(), Prefix(Account("test"))+"/"+formatKey))
		before := store.snapshot()
		require.ErrorIs(t, newMount(t, s, store).share.Check(t.Context()), encryptedShare)
		for _, key := range []*Key{key, newKey(t)} {
			two := newMount(t, s, store, with(key))
			require.NoError(t, two.share.Check(t.Context()), "there is still the content server")
			require.NoError(t, two.read(info))
			assert.Contains(t, two.log.String(), `the object \"format\" of the share is missing`)
		}
		require.Equal(t, before, store.snapshot())
	})
}

// TestOtherKey: a mount whose key is not that of the share reads from the content
// server, says so once, and changes nothing of what others have written. Nor do the
// commands.
// Proves S-222.
func TestOtherKey(t *testing.T) {
	right, wrong := newKey(t), newKey(t)
	for name, c := range map[string]struct {
		share, mount *Key
		says         string
	}{
		"another key":         {right, wrong, "the share is encrypted with another key than --share-key-file has"},
		"no key":              {right, nil, "the share is encrypted; mount with its --share-key-file"},
		"a key for plaintext": {nil, right, "the share is not encrypted, and --share-key-file is given"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, store := newServer(), newMemStore()
				with := func(key *Key) func(*Config) { return func(cfg *Config) { cfg.Key = key } }
				info := s.add("a", 20*mib)
				one := newMount(t, s, store, with(c.share))
				require.NoError(t, one.share.Check(t.Context()))
				require.NoError(t, one.read(info))
				one.settled(info)
				half := s.add("half", 20*mib)
				require.NoError(t, one.share.store.create(t.Context(), pieceKey("half", 0), []byte("half")))
				require.NoError(t, one.share.store.create(t.Context(), linkKey(leasePrefix("x"), 1), []byte("{}")))
				time.Sleep(time.Minute)
				before := store.snapshot()

				two := newMount(t, s, store, with(c.mount), func(cfg *Config) { cfg.Size = 1 })
				require.ErrorIs(t, two.share.Check(t.Context()), ErrKey)
				two.share.Follow(&fleetMount{mount: two})
				require.NoError(t, two.read(info))
				require.NoError(t, two.read(half))
				require.NoError(t, two.service.Delete(t.Context(), "other"))
				time.Sleep(10 * time.Minute)
				assert.Equal(t, 1, strings.Count(two.log.String(), "cannot be used now"), "%s", two.log)
				assert.Contains(t, two.log.String(), c.says)
				assert.NotContains(t, two.log.String(), "damaged")
				assert.Equal(t, before, store.snapshot())

				store.age(48 * time.Hour)
				before = store.snapshot()
				archives, err := List(t.Context(), store, c.mount)
				require.NoError(t, err)
				require.Len(t, archives, 2)
				if c.share != nil {
					assert.True(t, archives[0].Locked && archives[1].Locked)
					v, err := Verify(t.Context(), store, c.mount)
					require.NoError(t, err)
					assert.Equal(t, Verification{Locked: 2}, v)
					p, err := Prune(t.Context(), store, c.mount, PruneOptions{Size: 0, Age: time.Minute})
					require.NoError(t, err)
					assert.Equal(t, Pruned{Locked: 1}, p)
				}
				assert.Equal(t, before, store.snapshot())

				sent := s.bytesSent()
				require.NoError(t, newMount(t, s, store, with(c.share)).read(info))
				assert.Equal(t, sent, s.bytesSent(), "the right key does not help")
				p, err := Prune(t.Context(), store, c.share, PruneOptions{Size: 0})
				require.NoError(t, err)
				assert.Len(t, p.Archives, 2)
				assert.Positive(t, p.Garbage)
			})
		})
	}
}

// TestKeysRace: of mounts that begin a share at the same moment with different keys,
// or without one, those of one key share it.
// Proves S-222.
func TestKeysRace(t *testing.T) {
	a, b := newKey(t), newKey(t)
	for seed := range seeds(5, 100) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(9, seed))
			s, store := newServer(), newMemStore()
			store.latency = time.Duration(1+r.IntN(50)) * time.Millisecond
			results := make(map[*Key]int)
			done := make(chan *Key)
			for range 9 {
				key := []*Key{a, b, nil}[r.IntN(3)]
				m := newMount(t, s, store, func(cfg *Config) { cfg.Key = key })
				delay := time.Duration(r.IntN(60)) * time.Millisecond
				go func() {
					time.Sleep(delay)
					if m.share.Check(t.Context()) != nil {
						key = &Key{}
					}
					done <- key
				}()
			}
			for range 9 {
				results[<-done]++
			}
			winners := 0
			for _, key := range []*Key{a, b, nil} {
				if results[key] > 0 {
					winners++
				}
			}
			assert.Equal(t, 1, winners, "seed %d", seed)
		})
	}
}

// TestDamagedFormat: when the object is damaged that says how the others are encrypted,
// nobody uses the share, and nobody deletes what is in it.
// Proves S-222.
func TestDamagedFormat(t *testing.T) {
	for _, key := range []*Key{nil, newKey(t)} {
		bubble(t, func(t *testing.T) {
			s, store := newServer(), newMemStore()
			info := s.add("a", 3*mib)
			with := func(cfg *Config) { cfg.Key = key }
			one := newMount(t, s, store, with)
			require.NoError(t, one.read(info))
			one.settled(info)
			store.edit(Prefix(Account("test"))+"/"+formatKey, func(p []byte) []byte { p[len(p)-1] ^= 1; return p })
			before := store.snapshot()
			two := newMount(t, s, store, with)
			require.NoError(t, two.share.Check(t.Context()))
			require.NoError(t, two.read(info))
			assert.Contains(t, two.log.String(), "is damaged")
			store.age(48 * time.Hour)
			_, err := Prune(t.Context(), store, key, PruneOptions{Size: 0})
			require.ErrorContains(t, err, "is damaged")
			assert.Equal(t, before, store.snapshot())
		})
	}
}

// TestEncryptedNamesTellNothing: no object and no key of an object has the name of a
// file, of a download or of the account in it.
// Proves S-221.
func TestEncryptedNamesTellNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		info := s.add("id", 20*mib)
		info.Name = "Merger with Initech.zip"
		m := newMount(t, s, store, func(cfg *Config) { cfg.Key = newKey(t) })
		m.share.Follow(&fleetMount{mount: m, list: []download.Listed{{
			Progress: download.Progress{ID: "id", Status: download.StatusDone}, Name: "Layoffs", CreatedAt: time.Now(), Archive: &info,
		}}})
		require.NoError(t, m.read(info))
		m.settled(info)
		time.Sleep(10 * time.Second)
		require.NotEmpty(t, store.keys("/list/"))
		for key, data := range store.snapshot() {
			assert.True(t, isEncrypted([]byte(data)), key)
			for _, word := range []string{"Merger", "Layoffs", "Initech"} {
				assert.NotContains(t, key+data, word)
			}
		}
	})
}

func TestParseKey(t *testing.T) {
	text, err := NewKey()
	require.NoError(t, err)
	line := strings.TrimSpace(string(text[bytes.LastIndexByte(text[:len(text)-1], '\n'):]))
	for name, text := range map[string]string{
		"nothing":          "",
		"a comment":        "# AGE-SECRET-KEY-1\n",
		"a word":           "password\n",
		"a typo":           strings.Replace(line, "Q", "P", 1) + "X",
		"a public key":     newKey(t).recipient.String(),
		"quantum":          "AGE-SECRET-KEY-PQ-1QQQQ\n",
		"a key and a typo": line + "\n" + line[:len(line)-2] + "\n",
	} {
		_, err := ParseKey(strings.NewReader(text))
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "Q", name)
	}
	k, err := ParseKey(strings.NewReader("# made today\r\n\n" + line + "\n"))
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "keys", []*Key{k})
	j, err := json.Marshal(map[string]any{"key": k, "value": *k})
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s %x", k, k, k, k), fmt.Sprint(*k), fmt.Sprintf("%#v", *k), string(j), log.String()} {
		assert.NotContains(t, strings.ToUpper(shown), line[20:40])
		assert.NotContains(t, shown, "0x")
		assert.Contains(t, shown, redacted)
	}
}
