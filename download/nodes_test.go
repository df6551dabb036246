package download_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// sizes are nodes by size. Other nodes are unknown after a while.
type sizes map[download.NodeID]int64

func (s sizes) Node(ctx context.Context, id download.NodeID) (download.Node, error) {
	if size, ok := s[id]; ok {
		return download.Node{ID: id, Name: "film.mkv", Size: size}, nil
	}
	<-ctx.Done()
	return download.Node{}, ctx.Err()
}

func (s sizes) Children(context.Context, download.NodeID, int) ([]download.Node, bool, error) {
	panic("not asked for")
}

// A file that the server would fail on without a word is refused before it is
// asked for.
// Proves S-101.
func TestFileTooLargeForAnyZip(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Nodes = sizes{nodeN(1): 100, nodeN(2): 1<<32 - 1, nodeN(3): 1<<32 - 2}
		w.config.PartSize = -1
		w.reopen()
		list := func(ns ...int) (l download.List) {
			for _, n := range ns {
				l.Entries = append(l.Entries, download.Entry{Node: nodeN(n)})
			}
			return l
		}
		_, err := w.Create(t.Context(), list(1, 2))
		require.ErrorIs(t, err, download.ErrTooLarge)
		require.ErrorContains(t, err, `"film.mkv" has 4294967295 bytes`)
		require.Zero(t, w.service.Count("Create"))
		id, last := w.LastOutcome()
		require.Empty(t, id)
		require.Equal(t, err, last)

		_, err = w.Create(t.Context(), list(1, 3))
		require.NoError(t, err, "the largest that fits")
		_, err = w.Create(t.Context(), list(1, 2, 3, 4, 5, 6, 7, 8, 9))
		require.NoError(t, err, "too many to ask for")

		began := time.Now()
		_, err = w.Create(t.Context(), list(1, 4, 5))
		require.NoError(t, err, "the server judges of what is not known in time")
		require.Equal(t, 2*time.Second, time.Since(began))
		_, err = w.Create(t.Context(), list(4, 2))
		require.ErrorIs(t, err, download.ErrTooLarge)
	})
}
