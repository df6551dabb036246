package share

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// TestPrune: garbage goes when it is a day old, and archives by size and age.
// Proves S-216.
func TestPrune(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, store := newServer(), newMemStore()
		store.skew = -time.Hour
		m := newMount(t, s, store)
		for _, id := range []download.ID{"a", "b", "c"} {
			info := s.add(id, 20*mib)
			require.NoError(t, m.read(info))
			m.settled(info)
			time.Sleep(time.Hour)
		}
		// A mount has died in the middle.
		half := s.add("half", 200*mib)
		s.pace = time.Second
		dying := newMount(t, s, store)
		require.NoError(t, dying.readRange(half, s.content("half"), 0, mib))
		time.Sleep(time.Minute)
		dying.way.setCut(true)
		dying.share.cancel()
		require.NoError(t, store.Create(t.Context(), "somebody/else", nil))
		require.NotEmpty(t, store.keys("/archive/half/"))
		require.NotEmpty(t, store.keys("/lease/half/"))

		archives, err := List(t.Context(), store, nil)
		require.NoError(t, err)
		require.Len(t, archives, 4)
		assert.Equal(t, Archive{Account: Account("test"), ID: "a", Name: "a.zip", Size: 20 * mib, Stored: archives[0].Stored, Objects: 4,
			Whole: true, WrittenAt: archives[0].WrittenAt, keys: archives[0].keys}, archives[0])
		assert.False(t, archives[3].Whole)

		p, err := Prune(t.Context(), store, nil, PruneOptions{Size: -1})
		require.NoError(t, err)
		assert.Empty(t, p.Archives)
		assert.Zero(t, p.Garbage)
		time.Sleep(2 * unfinishedFor)
		p, err = Prune(t.Context(), store, nil, PruneOptions{Size: 45 * mib})
		require.NoError(t, err)
		var ids []download.ID
		for _, a := range p.Archives {
			ids = append(ids, a.ID)
		}
		assert.Equal(t, []download.ID{"half", "a"}, ids)
		assert.Positive(t, p.Garbage)
		assert.Empty(t, store.keys("/lease/"))
		assert.Len(t, store.keys("/done"), 2)
		p, err = Prune(t.Context(), store, nil, PruneOptions{Size: -1, Age: time.Hour})
		require.NoError(t, err)
		assert.Len(t, p.Archives, 2)
		assert.Equal(t, []string{"somebody/else"}, store.keys(""))
	})
}
