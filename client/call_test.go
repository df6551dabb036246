package client

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A login page that a proxy puts in place of the answer is no success, even if the call
// needs nothing from the answer.
func TestPageIsNoSuccess(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>please log in</html>")
	})
	c := newClient(t, testConfig(srv.URL))
	require.ErrorIs(t, c.Cancel(t.Context(), testID), download.ErrProtocol)
	require.ErrorIs(t, c.Delete(t.Context(), testID), download.ErrProtocol)
}
