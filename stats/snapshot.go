package stats

import (
	"bytes"
	"encoding/json"
	"runtime"
	"time"

	"downloadfs/cache"
	"downloadfs/download"
)

// Events are what was counted of one kind of event. An outcome is "ok" or an errno's
// name for operations; the answer's status or "none" for requests.
type Events struct {
	Name     string
	Outcomes map[string]int64
	Times    Times
}

// Snapshot is what is known about a mount at one moment.
type Snapshot struct {
	Version    string
	Account    string
	Started    time.Time
	Downloads  download.Census
	Usage      download.Usage
	Traffic    cache.Traffic
	Bandwidth  int64 // the limit, in bytes a second; 0: none
	Fetched    int64 // bytes
	Served     int64 // bytes
	Requests   []Events
	Operations []Events
	Goroutines int
}

// Mount is what a snapshot is made from besides its counts.
type Mount struct {
	*Counts
	Version string
	Account string // the same for mounts of one account of one server; it names neither
	Started time.Time
	Manager interface{ Census() download.Census }
	Cache   interface {
		Usage() download.Usage
		Traffic() cache.Traffic
	}
	Bandwidth interface{ Limit() int64 }
}

// Snapshot returns how things are now. It asks neither the server nor the kernel.
func (m Mount) Snapshot() Snapshot {
	return Snapshot{
		Version: m.Version, Account: m.Account, Started: m.Started,
		Downloads: m.Manager.Census(),
		Usage:     m.Cache.Usage(), Traffic: m.Cache.Traffic(),
		Bandwidth: m.Bandwidth.Limit(),
		Fetched:   m.fetched.Load(), Served: m.served.Load(),
		Requests: m.requests.snapshot(), Operations: m.operations.snapshot(),
		Goroutines: runtime.NumGoroutine(),
	}
}

// document is the JSON of a snapshot. Its keys are part of the interface of .stats:
// new ones may come, none changes its meaning.
type document struct {
	Version    string                  `json:"version"`
	Account    string                  `json:"account"`
	StartedAt  time.Time               `json:"startedAt"`
	Downloads  map[download.Status]int `json:"downloads"`
	Removals   int                     `json:"removals"`
	Waiters    int                     `json:"waiters"`
	Cache      cacheDocument           `json:"cache"`
	Fetched    int64                   `json:"bytesFetched"`
	Served     int64                   `json:"bytesServed"`
	Bandwidth  int64                   `json:"bandwidth"`
	Requests   []eventsDocument        `json:"requests"`
	Operations []eventsDocument        `json:"operations"`
	Goroutines int                     `json:"goroutines"`
	Silent     time.Time               `json:"noAnswerSince,omitzero"`
}

type cacheDocument struct {
	Limit     int64 `json:"limit"`
	Used      int64 `json:"used"`
	Free      int64 `json:"free"`
	Hits      int64 `json:"hits"`
	Misses    int64 `json:"misses"`
	Evictions int64 `json:"evictions"`
	Waiting   int64 `json:"waiting"`
}

type eventsDocument struct {
	Name     string           `json:"name"`
	Count    int64            `json:"count"`
	Seconds  float64          `json:"seconds"`
	Outcomes map[string]int64 `json:"outcomes"`
}

// JSON returns the snapshot as an object, indented, with a line break at its end.
func (s Snapshot) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	_ = e.Encode(document{ // it has numbers and strings only
		Version: s.Version, Account: s.Account, StartedAt: s.Started.UTC().Truncate(time.Second),
		Downloads: s.Downloads.ByStatus, Removals: s.Downloads.Removals, Waiters: s.Downloads.Waiters,
		Cache: cacheDocument{
			Limit: s.Usage.Limit, Used: s.Usage.Used, Free: s.Usage.Free,
			Hits: s.Traffic.Hits, Misses: s.Traffic.Misses, Evictions: s.Traffic.Evictions, Waiting: s.Traffic.Waiting,
		},
		Fetched: s.Fetched, Served: s.Served, Bandwidth: s.Bandwidth,
		Requests: documents(s.Requests), Operations: documents(s.Operations),
		Goroutines: s.Goroutines,
		Silent:     s.Downloads.NoAnswerSince.UTC().Truncate(time.Second),
	})
	return b.Bytes()
}

func documents(all []Events) []eventsDocument {
	out := make([]eventsDocument, len(all))
	for i, e := range all {
		out[i] = eventsDocument{e.Name, e.Times.Count, e.Times.Sum.Seconds(), e.Outcomes}
	}
	return out
}
