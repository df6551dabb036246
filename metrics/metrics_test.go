package metrics

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/cache"
	"downloadfs/download"
	"downloadfs/stats"
)

type fakeManager struct{}

func (fakeManager) Census() download.Census {
	return download.Census{ByStatus: map[download.Status]int{download.StatusDone: 2, download.StatusPending: 0}, Waiters: 4, Removals: 1}
}

type fakeCache struct{}

func (fakeCache) Usage() download.Usage { return download.Usage{Limit: 100, Used: 40, Free: 60} }
func (fakeCache) Traffic() cache.Traffic {
	return cache.Traffic{Hits: 7, Misses: 3, Evictions: 1, Waiting: 2}
}

type limit int64

func (l limit) Limit() int64 { return int64(l) }

func sample() func() stats.Snapshot {
	c := &stats.Counts{}
	c.Operation("read", 0, 2*time.Second)
	c.Operation("read", syscall.EIO, 2*time.Hour)
	c.Request("get", 200, time.Millisecond)
	c.Request("get", 0, 5*time.Millisecond)
	c.Fetched(10)
	c.Served(20)
	return stats.Mount{Counts: c, Version: "1.2.3", Manager: fakeManager{}, Cache: fakeCache{}, Bandwidth: limit(5000)}.Snapshot
}

// Every number is told, under a name and with a unit that Prometheus's own rules
// accept.
// Proves S-193.
func TestMetrics(t *testing.T) {
	r := register(sample())
	problems, err := testutil.GatherAndLint(r)
	require.NoError(t, err)
	assert.Empty(t, problems)
	const want = `
# HELP downloadfs_cache_reads_total Blocks, or pieces of one, that readers got: hits were there, misses had to be waited for.
# TYPE downloadfs_cache_reads_total counter
downloadfs_cache_reads_total{result="hit"} 7
downloadfs_cache_reads_total{result="miss"} 3
# HELP downloadfs_downloads Downloads that are listed, by state.
# TYPE downloadfs_downloads gauge
downloadfs_downloads{state="DONE"} 2
downloadfs_downloads{state="PENDING"} 0
# HELP downloadfs_fuse_operation_duration_seconds How long an operation took, the wait for a download included.
# TYPE downloadfs_fuse_operation_duration_seconds histogram
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="0.0001"} 0
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="0.001"} 0
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="0.01"} 0
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="0.1"} 0
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="1"} 0
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="10"} 1
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="60"} 1
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="600"} 1
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="3600"} 1
downloadfs_fuse_operation_duration_seconds_bucket{operation="read",le="+Inf"} 2
downloadfs_fuse_operation_duration_seconds_sum{operation="read"} 7202
downloadfs_fuse_operation_duration_seconds_count{operation="read"} 2
# HELP downloadfs_fuse_operations_total Operations of the kernel by their outcome.
# TYPE downloadfs_fuse_operations_total counter
downloadfs_fuse_operations_total{errno="EIO",operation="read"} 1
downloadfs_fuse_operations_total{errno="ok",operation="read"} 1
# HELP downloadfs_requests_total Requests to the server by the status of the answer; none: there was no answer.
# TYPE downloadfs_requests_total counter
downloadfs_requests_total{call="get",code="200"} 1
downloadfs_requests_total{call="get",code="none"} 1
`
	assert.NoError(t, testutil.GatherAndCompare(r, strings.NewReader(want), "downloadfs_cache_reads_total", "downloadfs_downloads",
		"downloadfs_fuse_operation_duration_seconds", "downloadfs_fuse_operations_total", "downloadfs_requests_total"))
	families, err := r.Gather()
	require.NoError(t, err)
	told := map[string]float64{}
	for _, f := range families {
		if m := f.GetMetric()[0]; len(f.GetMetric()) == 1 && f.GetType().String() != "HISTOGRAM" {
			told[f.GetName()] = max(m.GetGauge().GetValue(), m.GetCounter().GetValue())
		}
	}
	for name, want := range map[string]float64{
		"removals_pending": 1, "waiters": 4, "cache_limit_bytes": 100, "cache_used_bytes": 40, "cache_free_bytes": 60,
		"cache_evictions_total": 1, "readers_waiting": 2, "fetched_bytes_total": 10, "served_bytes_total": 20,
		"bandwidth_limit_bytes_per_second": 5000, "build_info": 1,
	} {
		assert.Equal(t, want, told["downloadfs_"+name], name)
	}
	assert.Positive(t, told["go_goroutines"])
}

// serve starts a server and returns a function that asks it.
func serve(t *testing.T, address string) func(host, path string) (int, string) {
	t.Helper()
	listener, err := Listen(address)
	require.NoError(t, err)
	s := Serve(listener, sample(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	at := listener.Addr()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, at.Network(), at.String())
	}}}
	return func(host, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any"+path, nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := c.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
}

// Proves S-193.
func TestServe(t *testing.T) {
	for _, address := range []string{"unix:" + filepath.Join(t.TempDir(), "m.sock"), "127.0.0.1:0"} {
		ask := serve(t, address)
		for path, want := range map[string]string{
			"/metrics":                       `downloadfs_build_info{goversion="go`,
			"/debug/pprof/":                  "goroutine",
			"/debug/pprof/goroutine?debug=1": "goroutine profile",
			"/debug/pprof/cmdline":           "metrics",
			"/debug/pprof/heap?debug=1":      "heap profile",
			"/":                              "/metrics",
		} {
			code, body := ask("localhost", path)
			assert.Equal(t, http.StatusOK, code, path)
			assert.Contains(t, body, want, path)
		}
		code, _ := ask("localhost", "/none")
		assert.Equal(t, http.StatusNotFound, code)
	}
}

// A web page whose name leads to this machine reads nothing.
// Proves S-193.
func TestForeignHost(t *testing.T) {
	ask := serve(t, "127.0.0.1:0")
	for host, want := range map[string]int{
		"127.0.0.1:9470": 200, "localhost": 200, "[::1]:9470": 200, "[::1]": 200,
		"evil.example": 403, "evil.example:9470": 403, "localhost.evil.example": 403, "192.168.0.1": 403,
	} {
		code, body := ask(host, "/metrics")
		assert.Equal(t, want, code, host)
		assert.Equal(t, want == 200, regexp.MustCompile(`(?m)^downloadfs_`).MatchString(body), host)
	}
}
