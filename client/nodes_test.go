package client

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestResolveAsksForThePath(t *testing.T) {
	var query url.Values
	var path, raw string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		path, query, raw = r.URL.Path[len(root):], r.URL.Query(), r.URL.RawQuery
		entry(w, 200, map[string]any{"id": "n1"})
	})
	c := newClient(t, testConfig(srv.URL))
	for given, want := range map[string][2]string{
		"/Sites/x/a b+c&d=e#f%20?.txt": {"/nodes/-root-", "Sites/x/a b+c&d=e#f%20?.txt"},
		"-my-/ü/报告.pdf":                {"/nodes/-my-", "ü/报告.pdf"},
		"-shared-/x/":                  {"/nodes/-shared-", "x"},
		"-root-/Company Home/x":        {"/nodes/-root-", "Company Home/x"},
		"/":                            {"/nodes/-root-", ""},
		"-my-":                         {"/nodes/-my-", ""},
	} {
		id, err := c.Resolve(t.Context(), given)
		require.NoError(t, err)
		require.Equal(t, download.NodeID("n1"), id)
		require.Equal(t, want[0], path, given)
		require.Equal(t, want[1], query.Get("relativePath"), given)
		require.Equal(t, want[1] != "", query.Has("relativePath"), given)
		require.Equal(t, "id", query.Get("fields"))
		require.NotContains(t, raw, "+", "a blank is %20")
	}
}

func TestResolveRefusesOddIDs(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) { entry(w, 200, map[string]any{"id": "../x"}) })
	_, err := newClient(t, testConfig(srv.URL)).Resolve(t.Context(), "/a")
	require.ErrorIs(t, err, download.ErrProtocol)
}

func TestArchiveAsksForItsFieldsOnly(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		entry(w, http.StatusOK, map[string]any{"id": testID, "name": "r.zip", "content": map[string]any{"sizeInBytes": 5}})
	})
	a, err := newClient(t, testConfig(srv.URL)).Archive(t.Context(), testID)
	require.NoError(t, err)
	require.Equal(t, download.ArchiveInfo{ID: testID, Name: "r.zip", Size: 5}, a)
	require.Equal(t, []string{"GET /nodes/" + testID + "?fields=id,name,content,modifiedAt"}, srv.seen())
}
