package cache

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A cache that another process has open can be listed.
// Proves S-42.
func TestListOfAnOpenCache(t *testing.T) {
	dir := t.TempDir()
	src := &fakeSource{}
	c := openCache(t, dir, src)
	for _, a := range []string{"list-1", "list-2"} {
		a := info(a, 8*BlockSize+5)
		h := openArchive(t, c, a)
		readAll(t, h, a, 0, a.Size)
		require.NoError(t, h.Close())
	}
	require.NoError(t, c.Close())

	c = openCache(t, dir, src)
	want, err := c.List()
	require.NoError(t, err)
	require.Len(t, want, 2)
	got, err := List(dir, testLog(t))
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.NoError(t, c.disk.remove(c.archives["list-1"].name))
	got, err = List(dir, testLog(t))
	require.NoError(t, err)
	require.Equal(t, want[1:], got, "there is no data of the other")
}

// Each list is what one commit has written.
// Proves S-42.
func TestListWhileTheIndexIsWritten(t *testing.T) {
	const claimed, commits = 200, 300
	dir := t.TempDir()
	d, err := openDisk(dir)
	require.NoError(t, err)
	defer d.close()
	a := info("list-moving", (claimed+commits)*BlockSize)
	name := newFileName(a.ID)
	f, err := d.create(name, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	x, err := openIndex(d.index())
	require.NoError(t, err)
	defer x.close()
	put := func(blocks ...blockChange) error {
		return x.commit([]change{{name: name, meta: meta{info: a, used: time.Now()}, blocks: blocks}})
	}
	var first []blockChange
	for b := range claimed {
		first = append(first, blockChange{block: b, sum: uint32(b), claim: true})
	}
	require.NoError(t, put(first...))

	var writer sync.WaitGroup
	var failed error
	ended := make(chan struct{})
	writer.Go(func() {
		defer close(ended)
		for b := range commits {
			if failed = put(blockChange{block: b}, blockChange{block: claimed + b, claim: true}); failed != nil {
				return
			}
		}
	})
	defer writer.Wait()
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		got, err := List(dir, testLog(t))
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.EqualValues(t, claimed*BlockSize, got[0].Cached)
	}
	require.NoError(t, failed)
}
