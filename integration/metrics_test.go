package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// metricsOf parses Prometheus's text format: values by name with labels.
func metricsOf(t testing.TB, text string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(strings.TrimSpace(line), " ")
		require.Positive(t, at, "%q", line)
		n, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		require.NoError(t, err)
		values[line[:at]] = n
	}
	return values
}

// mountStats is what .stats shows.
type mountStats struct {
	Version    string
	Downloads  map[string]int
	Removals   int
	Waiters    int
	Cache      struct{ Limit, Used, Free, Hits, Misses, Evictions, Waiting int64 }
	Fetched    int64 `json:"bytesFetched"`
	Served     int64 `json:"bytesServed"`
	Bandwidth  int64
	Requests   callStats // to the server
	Operations callStats // of the kernel
	Goroutines int
}

// callStats are calls by their name.
type callStats []struct {
	Name     string
	Count    int64
	Outcomes map[string]int64
}

func (s callStats) outcomes(name string) map[string]int64 {
	for _, c := range s {
		if c.Name == name {
			return c.Outcomes
		}
	}
	return nil
}

func statsOf(t testing.TB, m *harness.Mount) mountStats {
	t.Helper()
	var s mountStats
	d := json.NewDecoder(strings.NewReader(m.Sh(t, "cat ../.stats").Out(t)))
	require.NoError(t, d.Decode(&s))
	return s
}

// TestMetrics: a mount tells its user, on a socket that nobody else can connect to and
// in .stats, what it has done, in numbers that agree with the server's own, and with
// no name of anything in them.
// Proves S-193, S-196.
func TestMetrics(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		server := neverDone(t)
		harness.Tree(t, server.Dir, map[string]string{"secret-plans.txt": harness.Noise(7, 20_000)})
		socket := filepath.Join(harness.Dir(t, u), "metrics.sock")
		m := harness.StartMount(t, server, harness.MountOptions{User: u, Flags: []string{"--prefetch", "off", "--metrics", "unix:" + socket}})
		ask := func(path string) string {
			return harness.ShAs(t, u, "curl -sSf --unix-socket "+socket+" http://localhost"+path).OK(t).Stdout
		}
		id := submit(t, m, "secret-plans.txt")
		size, err := strconv.ParseFloat(m.Sh(t, "cat "+id+"/archive.zip | wc -c").Out(t), 64)
		require.NoError(t, err)
		pending := submit(t, m, "scans")
		reader := m.Cmd("exec cat " + pending + "/archive.zip").Start(t)
		reader.Blocked(t)
		m.Sh(t, "! ls none; rmdir "+pending+"x 2>/dev/null; :").OK(t)

		text := ask("/metrics")
		got, stats := metricsOf(t, text), statsOf(t, m)
		assert.EqualValues(t, 1, got[`downloadfs_downloads{state="DONE"}`])
		assert.EqualValues(t, 1, got[`downloadfs_downloads{state="PENDING"}`]+got[`downloadfs_downloads{state="IN_PROGRESS"}`])
		assert.EqualValues(t, 0, got[`downloadfs_downloads{state="EXPIRED"}`])
		assert.EqualValues(t, 1, got["downloadfs_waiters"])
		assert.Equal(t, size, got["downloadfs_fetched_bytes_total"])
		assert.GreaterOrEqual(t, got["downloadfs_served_bytes_total"], size)
		assert.Positive(t, got[`downloadfs_cache_reads_total{result="miss"}`])
		assert.Greater(t, got["downloadfs_cache_used_bytes"], size)
		assert.EqualValues(t, 10<<30, got["downloadfs_cache_limit_bytes"])
		assert.EqualValues(t, 2, got[`downloadfs_requests_total{call="create",code="202"}`])
		assert.Equal(t, server.Stats(t)["create"], got[`downloadfs_requests_total{call="create",code="202"}`])
		assert.Positive(t, got[`downloadfs_requests_total{call="read",code="206"}`])
		assert.Positive(t, got[`downloadfs_fuse_operations_total{errno="ENOENT",operation="lookup"}`])
		assert.Positive(t, got[`downloadfs_fuse_operation_duration_seconds_count{operation="read"}`])
		assert.Positive(t, got["go_goroutines"])
		assert.Regexp(t, `downloadfs_build_info\{goversion="go1\.[^"]*",version="[^"]+"\} 1`, text)

		assert.Equal(t, map[string]int{"DONE": 1}, positive(stats.Downloads, "DONE"))
		assert.Equal(t, 1, stats.Waiters)
		assert.EqualValues(t, size, stats.Fetched)
		assert.EqualValues(t, got["downloadfs_cache_used_bytes"], stats.Cache.Used)
		assert.EqualValues(t, map[string]int64{"202": 2}, stats.Requests.outcomes("create"))
		assert.Positive(t, stats.Goroutines)

		whole := text + m.Sh(t, "cat ../.stats").OK(t).Stdout
		for _, private := range []string{id, pending, "secret", "scans", m.Path, harness.AdminName, harness.PasswordOf(harness.AdminName)} {
			assert.NotContains(t, whole, private)
		}
		assert.Contains(t, ask("/debug/pprof/goroutine?debug=1"), "goroutine profile")
		assert.NotContains(t, m.Sh(t, "ls -a .. && find .. -maxdepth 1").Out(t), ".stats")

		if u.Root() { // the ordinary user is the neighbour
			r := harness.ShAs(t, harness.Nobody(t), "curl -sS --unix-socket "+socket+" http://localhost/metrics")
			assert.NotZero(t, r.Code, "%s", r)
			assert.Empty(t, r.Stdout)
		}
		assert.Equal(t, "600", harness.Sh(t, "stat -c %a "+socket).Out(t))

		m.Sh(t, "rmdir "+pending).OK(t)
		reader.Wait()
		m.Unmount(t)
		require.NoFileExists(t, socket)
	})
}

// positive returns the counts of the given keys.
func positive(counts map[string]int, keys ...string) map[string]int {
	found := map[string]int{}
	for _, key := range keys {
		found[key] = counts[key]
	}
	return found
}

// TestMetricsAddress: a loopback address will do, for who asks by it; another one is
// refused with a sentence; and without the flag nobody listens.
// Proves S-193.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, server, harness.MountOptions{Flags: []string{"--metrics", "127.0.0.1:0"}})
	address := m.Log.AwaitRecord(t, harness.Timeout, "the address", func(r harness.Record) bool { return r.String("op") == "metrics" }).String("address")
	require.Regexp(t, `^127\.0\.0\.1:\d+$`, address)
	assert.Contains(t, harness.Sh(t, "curl -sSf http://"+address+"/metrics").Out(t), "downloadfs_waiters 0")
	r := harness.Sh(t, "curl -sS -w '%{http_code}' -H 'Host: evil.example' http://"+address+"/metrics")
	assert.Regexp(t, `403$`, r.OK(t).Stdout)
	assert.NotContains(t, r.Stdout, "downloadfs_")
	assert.Equal(t, []string{address}, listening(t, m.Pid()))

	plain := harness.StartMount(t, server, harness.MountOptions{})
	assert.Empty(t, listening(t, plain.Pid()))
	for address, want := range map[string]string{
		"0.0.0.0:9470":   `--metrics 0\.0\.0\.0:9470 is not this machine's own: others on the network could look into the mount's process; listen on .*`,
		"unix:m.sock":    `--metrics unix:m\.sock is not an absolute path; .*`,
		"unix:/dev/null": `--metrics: cannot listen on /dev/null: there is a file that is not a socket; choose another path`,
	} {
		_, failure := harness.TryMount(t, server, harness.MountOptions{Flags: []string{"--metrics", address}})
		require.NotNil(t, failure, address)
		assert.Regexp(t, regexp.MustCompile(`^downloadfs: `+want+`$`), failure.Line)
	}
}

// listening returns the TCP addresses of IPv4 that a process listens on.
func listening(t testing.TB, pid int) []string {
	t.Helper()
	sockets, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	mine := map[string]bool{}
	for _, fd := range sockets {
		link, _ := os.Readlink(fd) // it may be closed meanwhile
		mine[link] = true
	}
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	found := []string{}
	for line := range strings.Lines(string(table)) {
		const local, state, inode = 1, 3, 9
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != "0A" || !mine["socket:["+fields[inode]+"]"] {
			continue
		}
		var a, b, c, d, port int
		_, err := fmt.Sscanf(fields[local], "%2X%2X%2X%2X:%X", &d, &c, &b, &a, &port) // least significant byte first
		require.NoError(t, err)
		found = append(found, fmt.Sprintf("%d.%d.%d.%d:%d", a, b, c, d, port))
	}
	return found
}
