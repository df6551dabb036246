package client

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
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

// Logging in is a request too, and so is reading from a server that ignores ranges.
// Proves S-176.
func TestRequestIDInEveryLine(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		fmt.Fprint(w, "0123456789")
	})
	var log bytes.Buffer
	cfg := testConfig(srv.URL)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, cfg)
	r, err := c.Stream(t.Context(), download.ArchiveInfo{ID: testID, Size: 10}, 5, 10)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Contains(t, log.String(), "logged in")
	require.Contains(t, log.String(), "the server ignores ranges")
	for line := range strings.Lines(log.String()) {
		require.Regexp(t, `request=[A-Z2-7]{16}`, line)
	}
}

// Who watches the requests is told of each attempt, by a purpose and a status that there
// are few of.
func TestExchangesAreTold(t *testing.T) {
	codes := []int{http.StatusServiceUnavailable, 799, 0, http.StatusOK}
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		code := codes[0]
		codes = codes[1:]
		switch code {
		case 0:
			conn, _, err := http.NewResponseController(w).Hijack()
			require.NoError(t, err)
			fmt.Fprint(conn, "no HTTP\r\n\r\n")
			conn.Close()
		case http.StatusOK:
			entry(w, code, downloadEntryOf("DONE"))
		default:
			refuse(w, code, "busy")
		}
	})
	var told []string
	cfg := testConfig(srv.URL)
	cfg.Exchanged = func(purpose string, code int, took time.Duration) {
		require.Positive(t, took)
		told = append(told, fmt.Sprintf("%s %d", purpose, code))
	}
	c := newClient(t, cfg)
	for range 2 {
		_ = get(t, c) // the server's 799 ends the first
	}
	require.Equal(t, []string{"login 201", "get 503", "get 700", "get 0", "get 200"}, told)
}
