package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxBody is how much of a request's body is read.
const maxBody = 16 << 20

// createDownload is POST /downloads. The checks come in the real server's order: no
// ids, an id twice, unknown, forbidden, refused by the content store.
func (s *Repository) createDownload(w http.ResponseWriter, r *http.Request, a *account) error {
	ids, err := readNodeIDs(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return badRequest("Cannot create an archive with 0 entries.")
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			return badRequest("Cannot specify the same nodeId twice")
		}
		seen[id] = true
	}
	nodes := make([]node, len(ids))
	for i, id := range ids {
		if nodes[i], err = s.validateNode(id); err != nil {
			return err
		}
	}
	paths := make([]string, len(nodes))
	for i, n := range nodes {
		if !a.mayRead(n.path) {
			return forbidden()
		}
		paths[i] = n.path
	}
	if err := s.checkStore(r.Context(), a, paths); err != nil {
		return err
	}
	name := "archive.zip"
	if len(nodes) == 1 {
		name = nodes[0].name + ".zip"
	}
	return writeEntry(w, r, http.StatusAccepted, s.downloads.create(a, name, paths))
}

// getDownload is GET /downloads/{id}.
func (s *Repository) getDownload(w http.ResponseWriter, r *http.Request, a *account) error {
	d, err := s.downloadOf(r.PathValue("id"), a)
	if err != nil {
		return err
	}
	return writeEntry(w, r, http.StatusOK, s.downloads.view(d).progressJSON)
}

// cancelDownload is DELETE /downloads/{id}. It is accepted in every state.
func (s *Repository) cancelDownload(w http.ResponseWriter, r *http.Request, a *account) error {
	d, err := s.downloadOf(r.PathValue("id"), a)
	if err != nil {
		return err
	}
	s.downloads.cancel(d)
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// downloadOf returns the download with the id if a may see it. It returns 404 if
// there is no such node, then 400 if it is another kind of node, readable or not,
// then 403.
func (s *Repository) downloadOf(id string, a *account) (*download, error) {
	plain, err := stripVersion(id)
	if err != nil {
		return nil, err
	}
	d, ok := s.downloads.lookup(plain)
	if !ok {
		if _, err := s.validateNode(id); err != nil {
			return nil, err
		}
		return nil, badRequest("Please specify the nodeId of a download node.")
	}
	if !d.mayAccess(a) {
		return nil, forbidden()
	}
	return d, nil
}

// stripVersion takes the version label off an id. The label of a private working copy
// is unknown.
func stripVersion(id string) (string, error) {
	plain, label, _ := strings.Cut(id, ";")
	if label == "pwc" {
		return "", notFound(plain)
	}
	return plain, nil
}

// validateNode finds the node for an id. It does not know aliases such as -root-.
func (s *Repository) validateNode(id string) (node, error) {
	plain, err := stripVersion(id)
	if err != nil {
		return node{}, err
	}
	n, ok := s.tree.byID(plain)
	if !ok {
		return node{}, notFound(plain)
	}
	return n, nil
}

// readNodeIDs reads the body of POST /downloads as Jackson does. A single value is a
// list of one. Numbers and booleans are strings. Unknown properties and wrong types
// are 400, an array is 405, and nothing to read the ids from is 500.
func readNodeIDs(body io.Reader) ([]string, error) {
	var raw json.RawMessage
	if err := json.NewDecoder(body).Decode(&raw); err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return nil, &apiError{status: http.StatusRequestEntityTooLarge, msg: "Request body too large"}
		}
		return nil, badRequest("Could not read content from HTTP request body")
	}
	if raw[0] == '[' {
		return nil, unsupported()
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, badRequest("Could not read content from HTTP request body")
	}
	for name := range object {
		switch name {
		case "nodeIds", "id", "status", "bytesAdded", "totalBytes", "filesAdded", "totalFiles":
		default:
			return nil, badRequest("Could not read content from HTTP request body: Unrecognized field %q", name)
		}
	}
	list, ok := object["nodeIds"]
	if !ok || bytes.Equal(list, []byte("null")) {
		return nil, internal(`Cannot invoke "java.util.List.size()" because the return value is null`)
	}
	var items []json.RawMessage
	if list[0] != '[' {
		items = []json.RawMessage{list}
	} else if err := json.Unmarshal(list, &items); err != nil {
		return nil, badRequest("Could not read content from HTTP request body")
	}
	ids := make([]string, len(items))
	for i, item := range items {
		switch item[0] {
		case '"':
			if err := json.Unmarshal(item, &ids[i]); err != nil {
				return nil, badRequest("Could not read content from HTTP request body")
			}
		case '{', '[':
			return nil, badRequest("Could not read content from HTTP request body")
		case 'n':
			return nil, internal("The node id is null")
		default:
			ids[i] = string(item)
		}
	}
	return ids, nil
}
