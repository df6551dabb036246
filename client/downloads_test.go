package client

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestCreate(t *testing.T) {
	var body string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		entry(w, http.StatusAccepted, downloadEntryOf("PENDING"))
	})
	c := newClient(t, testConfig(srv.URL))
	p, err := c.Create(t.Context(), []download.NodeID{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, download.Progress{ID: testID, Status: download.StatusPending,
		BytesAdded: 1, TotalBytes: 2, FilesAdded: 3, TotalFiles: 4}, p)
	require.JSONEq(t, `{"nodeIds":["a","b"]}`, body)
	require.Equal(t, []string{"POST /downloads"}, srv.seen())

	_, err = c.Create(t.Context(), nil)
	require.ErrorIs(t, err, download.ErrInvalid)
}
