package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"downloadfs/stats"
)

// namespace begins the name of each metric of ours.
const namespace = "downloadfs"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// The metrics. No label has the id, the name or the path of anything: there could be
// very many, and they are nobody else's business.
var (
	buildInfo  = describe("build_info", "The version; always 1.", "version", "goversion")
	downloads  = describe("downloads", "Downloads that are listed, by state.", "state")
	removals   = describe("removals_pending", "Downloads that are removed here and still to be deleted on the server.")
	waiters    = describe("waiters", "Calls that wait until a download has ended.")
	cacheLimit = describe("cache_limit_bytes", "The most that the cache may hold.")
	cacheUsed  = describe("cache_used_bytes", "What the cache holds.")
	cacheFree  = describe("cache_free_bytes", "What the cache can still take: up to its limit, or to the room that its disk leaves.")
	cacheReads = describe("cache_reads_total", "Blocks, or pieces of one, that readers got: hits were there, misses had to be waited for.", "result")
	evictions  = describe("cache_evictions_total", "Archives that were removed from the cache to make room.")
	readers    = describe("readers_waiting", "Reads that wait for bytes from the server.")
	fetched    = describe("fetched_bytes_total", "Bytes of archives that came from the server.")
	served     = describe("served_bytes_total", "Bytes that reads of files in the mount got, without those that the kernel read by itself.")
	bandwidth  = describe("bandwidth_limit_bytes_per_second", "The limit for bytes from the server; 0: none.")
	requests   = describe("requests_total", "Requests to the server by the status of the answer; none: there was no answer.", "call", "code")
	answering  = describe("request_duration_seconds", "How long the server took to begin an answer.", "call")
	operations = describe("fuse_operations_total", "Operations of the kernel by their outcome.", "operation", "errno")
	handling   = describe("fuse_operation_duration_seconds", "How long an operation took, the wait for a download included.", "operation")
)

// collector tells Prometheus the snapshot of the moment.
type collector struct{ look func() stats.Snapshot }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, downloads, removals, waiters, cacheLimit, cacheUsed, cacheFree, cacheReads, evictions, readers,
		fetched, served, bandwidth, requests, answering, operations, handling,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.look()
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(n), labels...)
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	tell(buildInfo, gauge, 1, s.Version, runtime.Version())
	for state, n := range s.Downloads.ByStatus {
		tell(downloads, gauge, int64(n), string(state))
	}
	tell(removals, gauge, int64(s.Downloads.Removals))
	tell(waiters, gauge, int64(s.Downloads.Waiters))
	tell(cacheLimit, gauge, s.Usage.Limit)
	tell(cacheUsed, gauge, s.Usage.Used)
	tell(cacheFree, gauge, s.Usage.Free)
	tell(cacheReads, counter, s.Traffic.Hits, "hit")
	tell(cacheReads, counter, s.Traffic.Misses, "miss")
	tell(evictions, counter, s.Traffic.Evictions)
	tell(readers, gauge, s.Traffic.Waiting)
	tell(fetched, counter, s.Fetched)
	tell(served, counter, s.Served)
	tell(bandwidth, gauge, s.Bandwidth)
	for _, of := range []struct {
		events       []stats.Events
		count, times *prometheus.Desc
	}{{s.Requests, requests, answering}, {s.Operations, operations, handling}} {
		for _, e := range of.events {
			for outcome, n := range e.Outcomes {
				tell(of.count, counter, n, e.Name, outcome)
			}
			out <- prometheus.MustNewConstHistogram(of.times, uint64(e.Times.Count), e.Times.Sum.Seconds(), buckets(e.Times), e.Name)
		}
	}
}

// buckets returns how many events took as long as each bound at most.
func buckets(t stats.Times) map[float64]uint64 {
	m, sum := make(map[float64]uint64, len(stats.Bounds)), uint64(0)
	for i, bound := range stats.Bounds {
		sum += uint64(t.Classes[i])
		m[bound.Seconds()] = sum
	}
	return m
}
