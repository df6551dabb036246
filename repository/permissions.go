package repository

import "strings"

// userHomes is the folder whose children belong to the users they are named after.
const userHomes = "User Homes"

// homeOwner returns the user whose home contains path, or "" if it is in nobody's.
func homeOwner(path string) string {
	rest, ok := strings.CutPrefix(path, userHomes+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// mayRead reports whether a may read the node at path. It may read everything except
// other users' homes.
func (a *account) mayRead(path string) bool {
	owner := homeOwner(path)
	return a.admin || owner == "" || owner == a.name
}

// mayDelete reports whether a may delete the node at path. Only its owner and the
// administrators may. The administrators own everything outside the homes.
func (a *account) mayDelete(path string) bool {
	return a.admin || homeOwner(path) == a.name
}

// isSpecial reports whether path is one of the folders that Alfresco lets nobody
// delete.
func isSpecial(path string) bool {
	switch path {
	case "", "Sites", "Shared", userHomes:
		return true
	}
	parent, _, _ := cutLast(path)
	return parent == "Sites" || parent == userHomes
}

// cutLast splits path into its folder and its name. The root has no folder.
func cutLast(path string) (parent, name string, ok bool) {
	if path == "" {
		return "", "", false
	}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:], true
	}
	return "", path, true
}
