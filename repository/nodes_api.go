package repository

import (
	"net/http"
	"strings"
)

// resolve returns the node of the tree, or the download node, for an id or an alias.
// It returns 404 when there is none, and 403 when a may not read it.
func (s *Repository) resolve(id string, a *account) (node, *download, error) {
	plain, err := stripVersion(id)
	if err != nil {
		return node{}, nil, err
	}
	if d, ok := s.downloads.lookup(plain); ok {
		if !d.mayAccess(a) {
			return node{}, nil, forbidden()
		}
		return node{}, d, nil
	}
	var n node
	var ok bool
	switch plain {
	case "-root-":
		n, ok = s.tree.byPath("")
	case "-my-":
		n, ok = s.tree.byPath(userHomes + "/" + a.name)
	case "-shared-":
		n, ok = s.tree.byPath("Shared")
	default:
		n, ok = s.tree.byID(plain)
	}
	switch {
	case !ok:
		return node{}, nil, notFound(id)
	case !a.mayRead(n.path):
		return node{}, nil, forbidden()
	}
	return n, nil, nil
}

// resolveRelative is resolve for the id, and then follows relativePath= if there is
// one. A node that a may not read is not found.
func (s *Repository) resolveRelative(r *http.Request, a *account) (node, *download, error) {
	n, d, err := s.resolve(r.PathValue("id"), a)
	rel := r.URL.Query().Get("relativePath")
	if err != nil || strings.Trim(rel, "/ ") == "" {
		return n, d, err
	}
	if d != nil || !n.folder {
		return node{}, nil, badRequest("NodeId of folder is expected: %s", r.PathValue("id"))
	}
	path := n.path
	for name := range strings.SplitSeq(rel, "/") {
		if name = strings.TrimSpace(name); name != "" {
			path = joinPath(path, name)
		}
	}
	n, ok := s.tree.byPath(path)
	if !ok || !a.mayRead(path) {
		return node{}, nil, notFound(rel)
	}
	return n, nil, nil
}

// getNode is GET /nodes/{id}.
func (s *Repository) getNode(w http.ResponseWriter, r *http.Request, a *account) error {
	n, d, err := s.resolveRelative(r, a)
	if err != nil {
		return err
	}
	in := requestIncludes(r)
	in["aspectNames"], in["properties"] = true, true // in lists only if asked for
	if d != nil {
		return writeEntry(w, r, http.StatusOK, s.downloadJSON(d, in))
	}
	return writeEntry(w, r, http.StatusOK, s.nodeJSON(n, a, in))
}

// deleteNode is DELETE /nodes/{id}. A download node and its zip go at once. A file or
// folder is only forgotten. Its bytes belong to the user, so the served folder stays
// as it is, and no trashcan can restore the node.
func (s *Repository) deleteNode(w http.ResponseWriter, r *http.Request, a *account) error {
	id := r.PathValue("id")
	n, d, err := s.resolve(id, a)
	switch {
	case err != nil:
		return err
	case d != nil:
		s.downloads.remove(d)
	case isSpecial(n.path):
		return &apiError{status: http.StatusForbidden, key: "framework.exception.PermissionDenied", msg: "Cannot delete: " + id}
	case !a.mayDelete(n.path):
		return forbidden()
	default:
		s.tree.delete(n.path)
		s.saveDeleted()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
