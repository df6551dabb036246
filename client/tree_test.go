package client

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/repository"
)

func TestNode(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		entry(w, 200, map[string]any{"id": "n1", "name": "a.txt", "isFolder": false, "modifiedAt": "2026-03-01T12:30:14.500+0000",
			"content": map[string]any{"sizeInBytes": 5 << 30}})
	})
	c := newClient(t, testConfig(srv.URL))
	n, err := c.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, download.Node{ID: "n1", Name: "a.txt", Size: 5 << 30, ModifiedAt: parseTime("2026-03-01T12:30:14.500+0000")}, n)
	require.Equal(t, []string{"GET /nodes/n1?fields=id,name,isFolder,content,modifiedAt"}, srv.seen())
	_, err = c.Node(t.Context(), "n2")
	require.ErrorIs(t, err, download.ErrProtocol, "another node's answer")
}

func TestNodesThatCannotBe(t *testing.T) {
	for name, e := range map[string]map[string]any{
		"id is a path":  {"id": "../x", "name": "a"},
		"negative size": {"id": "n1", "name": "a", "content": map[string]any{"sizeInBytes": -1}},
	} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { entry(w, 200, e) })
		_, err := newClient(t, testConfig(srv.URL)).Node(t.Context(), "n1")
		require.ErrorIs(t, err, download.ErrProtocol, name)
	}
	for name, body := range map[string]string{
		"no list":      `{"entry":{"id":"n1"}}`,
		"empty entry":  `{"list":{"entries":[{}]}}`,
		"odd id":       `{"list":{"entries":[{"entry":{"id":".."}}]}}`,
		"more of none": `{"list":{"pagination":{"hasMoreItems":true},"entries":[]}}`,
		"not JSON":     `<html>`,
	} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) })
		_, _, err := newClient(t, testConfig(srv.URL)).Children(t.Context(), "n1", 0)
		require.ErrorIs(t, err, download.ErrProtocol, name)
	}
}

// A folder of more than a page, of names as long as can be, on the embedded
// repository.
func TestChildren(t *testing.T) {
	dir := t.TempDir()
	long := ""
	for len(long) < 240 {
		long += "日"
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "f/sub"), 0o700))
	for i := range 1200 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "f", fmt.Sprintf("%04d%s", i, long)), make([]byte, i), 0o600))
	}
	srv := newRepo(t, repository.Config{Dir: dir})
	c := srv.client(t)
	folder, err := c.Resolve(t.Context(), "/f")
	require.NoError(t, err)
	first, more, err := c.Children(t.Context(), folder, 0)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, first, 1000)
	require.Equal(t, int64(999), first[999].Size)
	rest, more, err := c.Children(t.Context(), folder, 1000)
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, rest, 201)
	require.Equal(t, "sub", rest[200].Name)
	require.True(t, rest[200].Folder)
	n, err := c.Node(t.Context(), rest[0].ID)
	require.NoError(t, err)
	require.Equal(t, rest[0], n)
	_, _, err = c.Children(t.Context(), "0f7e5a0c-3f0e-4f0a-8d5e-7d1d3b8f1a11", 0)
	require.ErrorIs(t, err, download.ErrNotFound)
}
