package faults

import (
	"net/http"
	"strings"
)

// Kind says which call of the Alfresco API a request is.
type Kind string

// The kinds of requests.
const (
	Any     Kind = ""        // in a Rule: every request
	Create  Kind = "create"  // POST /downloads
	Get     Kind = "get"     // GET /downloads/{id}
	Cancel  Kind = "cancel"  // DELETE /downloads/{id}
	Delete  Kind = "delete"  // DELETE /nodes/{id}
	Node    Kind = "node"    // GET /nodes/{id}
	Content Kind = "content" // GET /nodes/{id}/content
	Resolve Kind = "resolve" // GET /nodes/{id}?relativePath=
	Tickets Kind = "tickets" // everything below /tickets of the authentication API
	Other   Kind = "other"   // everything else
)

const (
	coreRoot = "/alfresco/api/-default-/public/alfresco/versions/1"
	authRoot = "/alfresco/api/-default-/public/authentication/versions/1"
)

// kindOf classifies a request.
func kindOf(r *http.Request) Kind {
	if strings.HasPrefix(r.URL.Path, authRoot+"/tickets") {
		return Tickets
	}
	rest, ok := strings.CutPrefix(r.URL.Path, coreRoot+"/")
	if !ok {
		return Other
	}
	parts := strings.Split(rest, "/")
	switch {
	case len(parts) == 1 && parts[0] == "downloads" && r.Method == http.MethodPost:
		return Create
	case len(parts) == 2 && parts[0] == "downloads" && r.Method == http.MethodGet:
		return Get
	case len(parts) == 2 && parts[0] == "downloads" && r.Method == http.MethodDelete:
		return Cancel
	case len(parts) == 2 && parts[0] == "nodes" && r.Method == http.MethodDelete:
		return Delete
	case len(parts) == 2 && parts[0] == "nodes" && r.Method == http.MethodGet && r.URL.Query().Has("relativePath"):
		return Resolve
	case len(parts) == 2 && parts[0] == "nodes" && r.Method == http.MethodGet:
		return Node
	case len(parts) == 3 && parts[0] == "nodes" && parts[2] == "content" && r.Method == http.MethodGet:
		return Content
	}
	return Other
}
