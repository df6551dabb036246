package faults

import "time"

// Record is what is kept of one request: enough to count and compare, and no
// credential.
type Record struct {
	At         time.Time
	Kind       Kind
	Method     string
	Path       string // without the query, which may hold a ticket
	Range      string // the Range header
	Authorized bool   // an Authorization header or a ticket was present
	Fault      string // the fault it got; "" if none
	Status     int    // the status sent; 0 if none was
	Sent       int64  // bytes of body sent
	Ended      bool   // the handler is through with it
}

// Requests returns what was asked so far of one kind (Any: all), oldest first.
func (s *Server) Requests(kind Kind) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rs []Record
	for _, r := range s.records {
		if kind == Any || r.Kind == kind {
			rs = append(rs, *r)
		}
	}
	return rs
}

// Count returns how many requests of a kind there were so far.
func (s *Server) Count(kind Kind) int { return len(s.Requests(kind)) }

// Active returns how many requests of a kind are being answered right now.
func (s *Server) Active(kind Kind) int {
	n := 0
	for _, r := range s.Requests(kind) {
		if !r.Ended {
			n++
		}
	}
	return n
}
