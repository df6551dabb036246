package client

import (
	"bytes"
	"log/slog"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request has an id. The server is told it, and it is in each log line of each
// attempt.
// Proves S-176.
func TestRequestID(t *testing.T) {
	var seen []string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("X-Request-ID"))
		if len(seen) == 1 {
			refuse(w, http.StatusServiceUnavailable, "busy")
			return
		}
		entry(w, http.StatusOK, downloadEntryOf("DONE"))
	})
	var log bytes.Buffer
	cfg := testConfig(srv.URL)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, cfg)
	require.NoError(t, get(t, c))
	require.NoError(t, get(t, c))
	require.Len(t, seen, 3)
	require.Len(t, seen[0], 16)
	require.Equal(t, seen[0], seen[1], "another attempt of the same")
	require.NotEqual(t, seen[0], seen[2])
	lines := regexp.MustCompile(`(?m)^.*op=get .*request=`+seen[0]+`.*$`).FindAllString(log.String(), -1)
	require.Len(t, lines, 3, "two answers, and that it is tried again: %s", &log)
}
