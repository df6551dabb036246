package faults

import "time"

// Record describes one request: enough to count and compare, and no credential.
type Record struct {
	At         time.Time
	Kind       Kind
	Method     string
	Path       string // without the query, which may hold a ticket
	Range      string // the Range header
	Authorized bool   // an Authorization header or a ticket was present
	Fault      string // the fault that it got; "" if none
	Status     int    // the status sent; 0 if none was
	Sent       int64  // bytes of body sent
	Ended      bool   // the handler has finished it
}

// Requests returns the requests of one kind so far (Any: of all kinds), oldest first.
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

// Count returns the number of requests of a kind so far.
func (s *Server) Count(kind Kind) int { return len(s.Requests(kind)) }

// Active returns the number of requests of a kind that are being answered now.
func (s *Server) Active(kind Kind) int {
	n := 0
	for _, r := range s.Requests(kind) {
		if !r.Ended {
			n++
		}
	}
	return n
}
