package faults

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"

	"downloadfs/integration/ports"
)

// Network is a TCP proxy. A test can make its connections bad while it runs. A method
// that cannot do its job fails the test.
type Network struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// NewNetwork starts a proxy on a loopback port in front of upstream ("host:port"). It
// ends with the test.
func NewNetwork(t testing.TB, upstream string) *Network {
	t.Helper()
	// The server value only holds the logger and metrics. Its API is never served.
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &Network{t: t, proxy: toxiproxy.NewProxy(api, t.Name(), ports.Free(t), upstream)}
	if err := n.proxy.Start(); err != nil {
		t.Fatalf("start the network proxy: %v", err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

// init silences zerolog's global logger, which the toxics log to: a test's output is
// no place for that.
func init() { log.Logger = zerolog.Nop() }

// Addr returns the proxy's host and port. Nobody else gets them between Cut and Restore.
func (n *Network) Addr() string { return n.proxy.Listen }

// URL returns "http://" and Addr.
func (n *Network) URL() string { return "http://" + n.Addr() }

// Cut ends all connections and refuses new ones, so the server is unreachable.
func (n *Network) Cut() { n.proxy.Stop() }

// Restore undoes Cut.
func (n *Network) Restore() {
	n.t.Helper()
	if err := n.proxy.Start(); err != nil {
		n.t.Errorf("restore the network: %v", err)
	}
}

// Toxic is one trouble on the connections, open ones and later ones.
type Toxic struct {
	kind  string
	up    bool // acts on what the client sends, not on what it gets
	attrs map[string]any
}

// Latency delays every piece by d, give or take jitter.
func Latency(d, jitter time.Duration) Toxic {
	return Toxic{kind: "latency", attrs: map[string]any{"latency": d.Milliseconds(), "jitter": jitter.Milliseconds()}}
}

// Bandwidth limits each connection to that many thousand bytes a second.
func Bandwidth(kilobytes int) Toxic {
	return Toxic{kind: "bandwidth", attrs: map[string]any{"rate": kilobytes}}
}

// ResetPeer ends a connection with a TCP reset at its next byte. Connections made
// from now on end with a TCP reset.
func ResetPeer() Toxic { return Toxic{kind: "reset_peer", attrs: map[string]any{"timeout": 0}} }

// Blackhole swallows all bytes and keeps connections open, as a broken router does,
// until the sender closes. With an end above 0, a connection is closed after it was
// silent for that time. Removing the toxic closes the connections that it held.
func Blackhole(end time.Duration) Toxic {
	return Toxic{kind: "timeout", attrs: map[string]any{"timeout": end.Milliseconds()}}
}

// Slicer cuts the data into pieces of about size bytes, with a pause after each.
func Slicer(size int, pause time.Duration) Toxic {
	return Toxic{kind: "slicer", attrs: map[string]any{"average_size": size, "size_variation": size / 4, "delay": pause.Microseconds()}}
}

// SlowClose keeps connections open for d after their end.
func SlowClose(d time.Duration) Toxic {
	return Toxic{kind: "slow_close", attrs: map[string]any{"delay": d.Milliseconds()}}
}

// LimitData closes each connection after that many bytes.
func LimitData(bytes int64) Toxic {
	return Toxic{kind: "limit_data", attrs: map[string]any{"bytes": bytes}}
}

// Upstream returns the toxic acting on what the client sends. Without it, a toxic
// acts on what the client gets.
func (x Toxic) Upstream() Toxic {
	x.up = true
	return x
}

func (x Toxic) stream() string {
	if x.up {
		return "upstream"
	}
	return "downstream"
}

// Add puts a toxic on the connections and returns a function that removes it. There
// can be one of each kind and direction. Add waits until the connections' current
// piece of data has passed, so their readers must be reading. Call Add from the
// test's goroutine. You can call remove from any goroutine.
func (n *Network) Add(x Toxic) (remove func()) {
	n.t.Helper()
	spec, err := json.Marshal(map[string]any{"type": x.kind, "stream": x.stream(), "toxicity": 1, "attributes": x.attrs})
	if err != nil {
		n.t.Fatalf("describe a toxic: %v", err)
	}
	added, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(string(spec)))
	if err != nil {
		n.t.Fatalf("add toxic %s: %v", x.kind, err)
	}
	return func() {
		n.t.Helper()
		if err := n.proxy.Toxics.RemoveToxic(context.Background(), added.Name); err != nil {
			n.t.Errorf("remove toxic %s: %v", x.kind, err)
		}
	}
}

// Clear removes all toxics.
func (n *Network) Clear() { n.proxy.Toxics.ResetToxics(context.Background()) }
