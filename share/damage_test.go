package share

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDamagedObjects: whatever was done to the store's objects, a reader gets the right
// bytes, 'verify' finds it, and the next reader puts the archive there again.
// Proves S-212.
func TestDamagedObjects(t *testing.T) {
	const id, other = "a", "b"
	piece := func(k int) func(string) string {
		return func(account string) string { return Prefix(account) + "/" + pieceKey(id, k) }
	}
	done := func(account string) string { return Prefix(account) + "/" + doneKey(id) }
	flip := func(at int) func([]byte) []byte {
		return func(p []byte) []byte { p[at] ^= 1; return p }
	}
	ours, theirs := Account("test"), Account("somebody else")
	copied := func(from string) func(t *testing.T, store *memStore) []byte {
		return func(t *testing.T, store *memStore) []byte {
			store.mu.Lock()
			defer store.mu.Unlock()
			require.Contains(t, store.objects, from)
			return store.objects[from].data
		}
	}
	cases := map[string]struct {
		key    func(account string) string
		edit   func([]byte) []byte
		from   func(t *testing.T, store *memStore) []byte // its content instead
		delete bool
		plain  bool // only without encryption
	}{
		"a bit of the data":           {key: piece(1), edit: flip(headerLen + 2*mib)},
		"a bit of the first block":    {key: piece(0), edit: flip(headerLen)},
		"a bit of the last byte":      {key: piece(2), edit: flip(headerLen + 122)},
		"a bit of a sum":              {key: piece(0), edit: flip(120)},
		"a bit of the magic":          {key: piece(0), edit: flip(0)},
		"truncated":                   {key: piece(1), edit: func(p []byte) []byte { return p[:len(p)-1] }},
		"truncated to the header":     {key: piece(1), edit: func(p []byte) []byte { return p[:headerLen] }},
		"truncated within the header": {key: piece(1), edit: func(p []byte) []byte { return p[:100] }},
		"empty":                       {key: piece(1), edit: func([]byte) []byte { return nil }},
		"missing":                     {key: piece(1), delete: true},
		"two pieces swapped":          {key: piece(0), from: copied(Prefix(ours) + "/" + pieceKey(id, 1))},
		"of another archive":          {key: piece(0), from: copied(Prefix(ours) + "/" + pieceKey(other, 0))},
		"of another account":          {key: piece(0), from: copied(Prefix(theirs) + "/" + pieceKey(id, 0))},
		"manifest is garbage":         {key: done, edit: func([]byte) []byte { return []byte("{") }},
		"manifest is empty":           {key: done, edit: func([]byte) []byte { return nil }},
		"manifest of another account": {key: done, from: copied(Prefix(theirs) + "/" + doneKey(id))},
		"manifest of another archive": {key: done, from: copied(Prefix(ours) + "/" + doneKey(other))},
		"manifest of another size":    {key: done, edit: func(p []byte) []byte { return []byte(strings.Replace(string(p), `"size":2`, `"size":1`, 1)) }, plain: true},
		"manifest is endless":         {key: done, edit: func([]byte) []byte { return make([]byte, 10*mib) }},
	}
	for name, c := range cases {
		for how, key := range map[string]*Key{"": nil, ", encrypted": newKey(t)} {
			if key != nil && c.plain {
				continue
			}
			t.Run(name+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s, store := newServer(), newMemStore()
					start := func(account string) *mount {
						return newMount(t, s, store, func(cfg *Config) { cfg.Account, cfg.Key = account, key })
					}
					info, second := s.add(id, 20*mib+123), s.add(other, 20*mib+123)
					one := start(ours)
					for _, m := range []*mount{one, start(theirs)} {
						require.NoError(t, m.read(info))
						m.settled(info)
					}
					require.NoError(t, one.read(second))
					one.settled(second)
					clean, err := Verify(t.Context(), store, key)
					require.NoError(t, err)
					require.Empty(t, clean.Damaged)
					require.Equal(t, 3, clean.Archives)

					object := c.key(ours)
					switch {
					case c.delete:
						require.NoError(t, store.Delete(t.Context(), object))
					case c.from != nil:
						data := c.from(t, store)
						store.edit(object, func([]byte) []byte { return data })
					default:
						store.edit(object, c.edit)
					}
					two := start(ours)
					require.NoError(t, two.read(info))
					require.NoError(t, two.read(second), "the other archive is hurt")
					assert.LessOrEqual(t, strings.Count(two.log.String(), "level=WARN"), 1, "it is told more than once:\n%s", two.log)

					found, err := Verify(t.Context(), store, key)
					require.NoError(t, err)
					assert.NotEmpty(t, found.Damaged)
					time.Sleep(time.Minute)
					three := start(ours)
					require.NoError(t, three.read(info))
					three.settled(info)
					again, err := Verify(t.Context(), store, key)
					require.NoError(t, err)
					assert.Empty(t, again.Damaged)
				})
			})
		}
	}
}
