package faults

import (
	"net/http"
	"sync"
)

// Rule says which requests get a fault.
type Rule struct {
	On    Kind                     // the kind of request; Any for all
	If    func(*http.Request) bool // a further condition; nil for none
	Skip  int                      // how many matching requests pass first
	Times int                      // how many get the fault after that; 0 for all
	Fault Fault
}

// Injected is an active rule.
type Injected struct {
	rule   Rule
	server *Server

	first chan struct{} // closed at the first hit

	mu   sync.Mutex
	seen int // matching requests, guarded by mu
	hits int // those that got the fault, guarded by mu
}

// claim counts a request if the rule matches it, and reports whether it gets the
// fault.
func (in *Injected) claim(kind Kind, r *http.Request) bool {
	if in.rule.On != Any && in.rule.On != kind {
		return false
	}
	if in.rule.If != nil && !in.rule.If(r) {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.seen++
	if in.seen <= in.rule.Skip {
		return false
	}
	if in.rule.Times > 0 && in.hits >= in.rule.Times {
		return false
	}
	in.hits++
	if in.hits == 1 {
		close(in.first)
	}
	return true
}

// Hits returns how many requests have got the fault.
func (in *Injected) Hits() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hits
}

// First is closed when the first request gets the fault.
func (in *Injected) First() <-chan struct{} { return in.first }

// Remove ends the rule. A request that is being answered with its fault keeps the
// fault.
func (in *Injected) Remove() { in.server.remove(in) }
