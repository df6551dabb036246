package downloadtest

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Fixture is a server to run the suite on, as one user sees it.
type Fixture struct {
	Service download.Service
	Source  download.Source
	// Files are at least two readable files, by name.
	Files map[string]download.NodeID
	// Path is the path of one of Files.
	Path string
	// Forbidden is a node that the user may not read; "" where there is none.
	Forbidden download.NodeID
	// Slow is a node whose zip takes at least some seconds, so that it can be
	// cancelled; "" where there is none.
	Slow download.NodeID
}

const unknownID = "99999999-0000-4000-8000-999999999999"

// RunServiceSuite checks that a Service and its Source keep to their contract. It calls
// newFixture for each part; the parts may share a server. The suite polls with short
// sleeps, in virtual or in real time.
func RunServiceSuite(t *testing.T, newFixture func(t *testing.T) Fixture) {
	part := func(name string, test func(t *testing.T, f Fixture)) {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t)) })
	}
	part("Check", func(t *testing.T, f Fixture) {
		require.NoError(t, f.Service.Check(t.Context()))
	})
	part("Resolve", func(t *testing.T, f Fixture) {
		id, err := f.Service.Resolve(t.Context(), f.Path)
		require.NoError(t, err)
		assert.Contains(t, f.ids(), id)
		_, err = f.Service.Resolve(t.Context(), f.Path+" is not there")
		require.ErrorIs(t, err, download.ErrNotFound)
	})
	part("Create refuses", testCreateRefuses)
	part("Unknown download", testUnknown)
	part("Another kind of node", func(t *testing.T, f Fixture) {
		_, err := f.Service.Get(t.Context(), download.ID(f.ids()[0]))
		require.ErrorIs(t, err, download.ErrInvalid)
	})
	part("Life of a download", testLife)
	part("One node names the archive", testNamed)
	part("Cancel", testCancel)
	part("Context", testContext)
}

func (f Fixture) ids() []download.NodeID {
	var ids []download.NodeID
	for _, id := range f.Files {
		ids = append(ids, id)
	}
	return ids
}

func testCreateRefuses(t *testing.T, f Fixture) {
	ids := f.ids()
	_, err := f.Service.Create(t.Context(), nil)
	assert.ErrorIs(t, err, download.ErrInvalid, "nothing")
	_, err = f.Service.Create(t.Context(), []download.NodeID{ids[0], ids[1], ids[0]})
	assert.ErrorIs(t, err, download.ErrInvalid, "a duplicate")
	_, err = f.Service.Create(t.Context(), []download.NodeID{ids[0], unknownID})
	assert.ErrorIs(t, err, download.ErrNotFound, "an unknown node")
	if f.Forbidden == "" {
		t.Skip("this server has no node that the user may not read")
	}
	_, err = f.Service.Create(t.Context(), []download.NodeID{ids[0], f.Forbidden})
	assert.ErrorIs(t, err, download.ErrForbidden, "a forbidden node")
}

func testUnknown(t *testing.T, f Fixture) {
	ctx := t.Context()
	_, err := f.Service.Get(ctx, unknownID)
	assert.ErrorIs(t, err, download.ErrNotFound)
	assert.ErrorIs(t, f.Service.Cancel(ctx, unknownID), download.ErrNotFound)
	assert.ErrorIs(t, f.Service.Delete(ctx, unknownID), download.ErrNotFound)
	_, err = f.Service.Archive(ctx, unknownID)
	assert.ErrorIs(t, err, download.ErrNotFound)
	_, err = f.Source.Stream(ctx, download.ArchiveInfo{ID: unknownID, Size: 10}, 0, 10)
	assert.ErrorIs(t, err, download.ErrNotFound)
}

// mustCreate creates a download of nodes and checks the answer.
func (f Fixture) mustCreate(t *testing.T, nodes ...download.NodeID) download.ID {
	t.Helper()
	p, err := f.Service.Create(t.Context(), nodes)
	require.NoError(t, err)
	_, err = download.ParseID(string(p.ID))
	require.NoError(t, err)
	assert.Equal(t, download.Progress{ID: p.ID, Status: download.StatusPending}, p, "PENDING, all counters 0")
	t.Cleanup(func() { _ = f.Service.Delete(context.WithoutCancel(t.Context()), p.ID) })
	return p.ID
}

// await polls until the download has ended. Its counters must only grow.
func (f Fixture) await(t *testing.T, id download.ID) download.Progress {
	t.Helper()
	var last download.Progress
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		p, err := f.Service.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, id, p.ID)
		require.GreaterOrEqual(t, p.BytesAdded, last.BytesAdded)
		require.GreaterOrEqual(t, p.FilesAdded, last.FilesAdded)
		if last = p; p.Status.Ended() {
			return p
		}
	}
	require.FailNow(t, "the download does not end", "%+v", last)
	return last
}

func testLife(t *testing.T, f Fixture) {
	ctx := t.Context()
	id := f.mustCreate(t, f.ids()...)
	p := f.await(t, id)
	assert.Equal(t, download.StatusDone, p.Status)
	assert.EqualValues(t, len(f.Files), p.TotalFiles)
	assert.Equal(t, p.TotalFiles, p.FilesAdded)
	assert.Equal(t, p.TotalBytes, p.BytesAdded)

	a, err := f.Service.Archive(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, id, a.ID)
	assert.Equal(t, "archive.zip", a.Name)
	assert.Positive(t, a.Size)
	testStream(t, f, a)

	assert.NoError(t, f.Service.Cancel(ctx, id), "accepted, and without effect")
	again, err := f.Service.Get(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, p, again)

	require.NoError(t, f.Service.Delete(ctx, id))
	_, err = f.Service.Get(ctx, id)
	assert.ErrorIs(t, err, download.ErrNotFound)
	assert.ErrorIs(t, f.Service.Delete(ctx, id), download.ErrNotFound)
	_, err = f.Source.Stream(ctx, a, 0, a.Size)
	assert.ErrorIs(t, err, download.ErrNotFound)
}

func testStream(t *testing.T, f Fixture, a download.ArchiveInfo) {
	t.Helper()
	read := func(off, end int64) []byte {
		t.Helper()
		r, err := f.Source.Stream(t.Context(), a, off, end)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err, "exactly the bytes asked for, then io.EOF")
		require.NoError(t, r.Close())
		require.Len(t, b, int(end-off))
		return b
	}
	whole := read(0, a.Size)
	for _, off := range []int64{0, 1, a.Size / 2, a.Size - 1} {
		for _, end := range []int64{off + 1, (off + a.Size + 1) / 2, a.Size} {
			if off < end && end <= a.Size {
				assert.True(t, bytes.Equal(whole[off:end], read(off, end)), "bytes %d to %d", off, end)
			}
		}
	}
	z, err := zip.NewReader(bytes.NewReader(whole), a.Size)
	require.NoError(t, err)
	var names []string
	for _, file := range z.File {
		names = append(names, file.Name)
		r, err := file.Open()
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r) // checks the CRC
		require.NoError(t, err)
	}
	var want []string
	for name := range f.Files {
		want = append(want, name)
	}
	assert.ElementsMatch(t, want, names)
}

func testNamed(t *testing.T, f Fixture) {
	for name, node := range f.Files {
		id := f.mustCreate(t, node)
		f.await(t, id)
		a, err := f.Service.Archive(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, name+".zip", a.Name)
	}
}

func testCancel(t *testing.T, f Fixture) {
	if f.Slow == "" {
		t.Skip("this server has nothing that takes long enough to be cancelled")
	}
	id := f.mustCreate(t, f.Slow)
	_, err := f.Source.Stream(t.Context(), download.ArchiveInfo{ID: id, Size: 10}, 0, 10)
	assert.ErrorIs(t, err, download.ErrNotFound, "there is no content before DONE")
	require.NoError(t, f.Service.Cancel(t.Context(), id))
	assert.Equal(t, download.StatusCancelled, f.await(t, id).Status)
	require.NoError(t, f.Service.Delete(t.Context(), id))
}

func testContext(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Service.Get(ctx, unknownID)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = f.Service.Create(ctx, f.ids())
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, f.Service.Check(ctx), context.Canceled)
	_, err = f.Source.Stream(ctx, download.ArchiveInfo{ID: unknownID, Size: 10}, 0, 10)
	assert.ErrorIs(t, err, context.Canceled)
}
