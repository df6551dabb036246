package repository

import (
	"net"
	"net/http"
	"sync/atomic"
)

// Stats counts the requests since the start by what they ask for, whatever the
// answer.
type Stats struct {
	Total        int64 `json:"total"`
	Create       int64 `json:"create"`
	Get          int64 `json:"get"`
	Cancel       int64 `json:"cancel"`
	Node         int64 `json:"node"`
	Children     int64 `json:"children"`
	Content      int64 `json:"content"`
	Delete       int64 `json:"delete"`
	Ticket       int64 `json:"ticket"`
	Other        int64 `json:"other"`
	ContentBytes int64 `json:"contentBytes"` // sent in answer to Content requests
	Unauthorized int64 `json:"unauthorized"` // of Total, answered 401
}

// counters collect the numbers for Stats.
type counters struct {
	total, create, get, cancel, node, children, content, deleted, ticket, other atomic.Int64
	contentBytes, unauthorized                                                  atomic.Int64
}

// Stats returns the requests counted so far.
func (s *Repository) Stats() Stats {
	c := &s.counters
	return Stats{
		Total: c.total.Load(), Create: c.create.Load(), Get: c.get.Load(), Cancel: c.cancel.Load(),
		Node: c.node.Load(), Children: c.children.Load(), Content: c.content.Load(), Delete: c.deleted.Load(),
		Ticket: c.ticket.Load(), Other: c.other.Load(),
		ContentBytes: c.contentBytes.Load(), Unauthorized: c.unauthorized.Load(),
	}
}

// getStats is GET /-/stats. It is not part of Alfresco's API, needs no login, is not
// counted, and exists only for callers on this machine.
func (s *Repository) getStats(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, http.StatusOK, s.Stats())
}
