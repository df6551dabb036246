package share

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// careless is a store that creates an object over another, as one does that ignores
// If-None-Match.
type careless struct {
	*memStore
	silent bool // it says that it refused
}

func (c careless) Create(ctx context.Context, key string, body []byte) error {
	err := c.memStore.Create(ctx, key, body)
	if err == nil {
		return nil
	}
	if removing := c.Delete(ctx, key); removing != nil {
		return removing
	}
	if again := c.memStore.Create(ctx, key, body); again != nil || !c.silent {
		return again
	}
	return err
}

// TestProve: a store that overwrites is found out, also one that says it does not. One
// that may not be written is not used. Nothing of a proof stays in the store.
// Proves S-229.
func TestProve(t *testing.T) {
	denied := errors.Join(ErrRefused, errors.New("403"))
	deny := func(op string) *memStore {
		m := newMemStore()
		m.setTrouble(func(_ context.Context, asked, _ string) error {
			if asked == op {
				return denied
			}
			return nil
		})
		return m
	}
	for name, test := range map[string]struct {
		store Store
		want  error
	}{
		"honest":         {newMemStore(), nil},
		"careless":       {careless{memStore: newMemStore()}, ErrOverwrites},
		"liar":           {careless{newMemStore(), true}, ErrOverwrites},
		"cannot create":  {deny("create"), ErrRefused},
		"cannot open":    {deny("open"), ErrRefused},
		"cannot list":    {deny("list"), ErrRefused},
		"cannot delete":  {deny("delete"), ErrRefused},
		"with a prefix":  {Within(newMemStore(), "a/b"), nil},
		"careless below": {Within(careless{memStore: newMemStore()}, "a/b"), ErrOverwrites},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, Prove(t.Context(), test.store), test.want)
			_, err := Proven(t.Context(), test.store, false, slog.New(slog.DiscardHandler))
			require.ErrorIs(t, err, test.want)
			if name != "cannot delete" && name != "cannot list" {
				objects, err := test.store.List(t.Context(), "")
				require.NoError(t, err)
				assert.Empty(t, objects)
			}
		})
	}
}

// TestProofIsPruned: what a mount leaves that is killed in the middle of a proof goes
// with the garbage.
func TestProofIsPruned(t *testing.T) {
	m := newMemStore()
	key := proofPrefix + "left/now"
	require.NoError(t, m.Create(t.Context(), key, nil))
	m.mu.Lock()
	m.objects[key] = memObject{at: time.Now().Add(-2 * unfinishedFor)}
	m.mu.Unlock()
	pruned, err := Prune(t.Context(), m, nil, PruneOptions{Size: -1})
	require.NoError(t, err)
	assert.Equal(t, 1, pruned.Garbage)
	assert.Empty(t, m.keys(""))
}

// TestProvenReadOnly: a mount that only reads writes nothing to find out whether it may
// read.
func TestProvenReadOnly(t *testing.T) {
	m := newMemStore()
	_, err := Proven(t.Context(), m, true, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	m.mu.Lock()
	assert.Equal(t, map[string]int{"list": 1}, m.requests)
	m.mu.Unlock()
	m.setTrouble(func(context.Context, string, string) error { return ErrRefused })
	_, err = Proven(t.Context(), m, true, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, ErrRefused)
}

// TestProvenLater: a store that cannot be reached when a mount starts is proved before
// the first object is created in it.
// Proves S-228.
func TestProvenLater(t *testing.T) {
	gone := func(context.Context, string, string) error { return errors.New("no route to host") }
	for _, honest := range []bool{true, false} {
		var log bytes.Buffer
		m := newMemStore()
		m.setTrouble(gone)
		var behind Store = m
		if !honest {
			behind = careless{memStore: m}
		}
		s, err := Proven(t.Context(), behind, false, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		assert.Contains(t, log.String(), "cannot be reached yet")
		require.Error(t, s.Create(t.Context(), "x", []byte("first")))
		m.setTrouble(nil)
		err = s.Create(t.Context(), "x", []byte("first"))
		if honest {
			require.NoError(t, err)
			assert.Equal(t, []string{"x"}, m.keys(""))
			m.mu.Lock()
			lists := m.requests["list"]
			m.mu.Unlock()
			require.NoError(t, s.Create(t.Context(), "y", nil))
			m.mu.Lock()
			assert.Equal(t, lists, m.requests["list"], "it is proved once")
			m.mu.Unlock()
			continue
		}
		require.ErrorIs(t, err, ErrOverwrites)
		require.ErrorIs(t, s.Create(t.Context(), "y", nil), ErrOverwrites)
		assert.Empty(t, m.keys(""))
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=ERROR")))
	}
}
