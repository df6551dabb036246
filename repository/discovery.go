package repository

import "net/http"

// discoveryJSON names the generation of servers that this server behaves like.
type discoveryJSON struct {
	Repository repositoryJSON `json:"repository"`
}

type repositoryJSON struct {
	ID      string      `json:"id"`
	Edition string      `json:"edition"`
	Version versionJSON `json:"version"`
	Status  statusJSON  `json:"status"`
	Modules []struct{}  `json:"modules"`
}

type versionJSON struct {
	Major   string `json:"major"`
	Minor   string `json:"minor"`
	Patch   string `json:"patch"`
	Hotfix  string `json:"hotfix"`
	Schema  int    `json:"schema"`
	Label   string `json:"label"`
	Display string `json:"display"`
}

type statusJSON struct {
	IsReadOnly                   bool `json:"isReadOnly"`
	IsAuditEnabled               bool `json:"isAuditEnabled"`
	IsQuickShareEnabled          bool `json:"isQuickShareEnabled"`
	IsThumbnailGenerationEnabled bool `json:"isThumbnailGenerationEnabled"`
	IsDirectAccessURLEnabled     bool `json:"isDirectAccessUrlEnabled"`
}

// discover is GET /alfresco/api/discovery, which tells clients the server's version.
func (s *Repository) discover(w http.ResponseWriter, r *http.Request, _ *account) error {
	return writeEntry(w, r, http.StatusOK, discoveryJSON{repositoryJSON{
		ID: nodeID("downloadfs"), Edition: "Community",
		Version: versionJSON{Major: "26", Minor: "1", Patch: "0", Hotfix: "0", Schema: 20000,
			Label: "downloadfs", Display: "26.1.0.0 (downloadfs) schema 20000"},
		Status:  statusJSON{IsReadOnly: true},
		Modules: []struct{}{},
	}})
}

// probe is GET /probes/-ready- and /probes/-live-. They need no login.
func (s *Repository) probe(w http.ResponseWriter, r *http.Request) error {
	type message struct {
		Message string `json:"message"`
	}
	switch id := r.PathValue("id"); id {
	case "-ready-":
		return writeEntry(w, r, http.StatusOK, message{"readyProbe: Success - Tested"})
	case "-live-":
		return writeEntry(w, r, http.StatusOK, message{"liveProbe: Success - Tested"})
	default:
		return badRequest("Bad probe name: %s", id)
	}
}
