package repository

import (
	"net/http"
	"strings"
)

// nodeJSON is a node as the API shows it. Fields that are nil or empty were not asked
// for or do not apply.
type nodeJSON struct {
	AspectNames         []string       `json:"aspectNames,omitempty"`
	CreatedAt           string         `json:"createdAt"`
	IsFolder            bool           `json:"isFolder"`
	IsFile              bool           `json:"isFile"`
	IsLocked            *bool          `json:"isLocked,omitempty"`
	CreatedByUser       userJSON       `json:"createdByUser"`
	ModifiedAt          string         `json:"modifiedAt"`
	ModifiedByUser      userJSON       `json:"modifiedByUser"`
	Name                string         `json:"name"`
	ID                  string         `json:"id"`
	NodeType            string         `json:"nodeType"`
	Content             *contentJSON   `json:"content,omitempty"`
	ParentID            string         `json:"parentId,omitempty"`
	Path                *pathJSON      `json:"path,omitempty"`
	AllowableOperations []string       `json:"allowableOperations,omitempty"`
	Properties          map[string]any `json:"properties,omitempty"`
}

type userJSON struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
}

type contentJSON struct {
	MimeType     string `json:"mimeType"`
	MimeTypeName string `json:"mimeTypeName"`
	SizeInBytes  int64  `json:"sizeInBytes"`
	Encoding     string `json:"encoding"`
}

type pathJSON struct {
	Name       string            `json:"name"`
	IsComplete bool              `json:"isComplete"`
	Elements   []pathElementJSON `json:"elements"`
}

type pathElementJSON struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	NodeType string `json:"nodeType"`
}

// includes are the optional parts that a request's include= asks for.
type includes map[string]bool

func requestIncludes(r *http.Request) includes {
	in := make(includes)
	for part := range strings.SplitSeq(r.URL.Query().Get("include"), ",") {
		in[strings.TrimSpace(part)] = true
	}
	return in
}

// nodeJSON shows a file or folder of the tree.
func (s *Repository) nodeJSON(n node, a *account, in includes) nodeJSON {
	owner := homeOwner(n.path)
	if owner == "" {
		owner = "admin"
	}
	user := userJSON{owner, displayName(owner)}
	at := formatTime(n.modified)
	j := nodeJSON{
		CreatedAt: at, ModifiedAt: at, CreatedByUser: user, ModifiedByUser: user,
		IsFolder: n.folder, IsFile: !n.folder, Name: n.name, ID: n.id, NodeType: nodeType(n),
	}
	if !n.folder {
		t := mimeType(n.name)
		j.Content = &contentJSON{t, mimeTypeName(t), n.size, "UTF-8"}
	}
	if parent, _, ok := cutLast(n.path); ok {
		j.ParentID = nodeID(parent)
	}
	if in["path"] {
		j.Path = s.pathJSON(n, a)
	}
	j.include(in, a.mayDelete(n.path) && !isSpecial(n.path))
	return j
}

// downloadJSON shows a download node. The content appears when it is DONE.
func (s *Repository) downloadJSON(d *download, in includes) nodeJSON {
	v := s.downloads.view(d)
	user := userJSON{d.owner, displayName(d.owner)}
	j := nodeJSON{
		CreatedAt: formatTime(d.created), ModifiedAt: formatTime(v.modified), CreatedByUser: user, ModifiedByUser: user,
		IsFile: true, Name: d.name, ID: d.id, NodeType: "download:download", ParentID: downloadsContainer,
	}
	if v.Status == statusDone {
		j.Content = &contentJSON{mimeBinary, mimeTypeName(mimeBinary), v.size, "UTF-8"}
	}
	if in["path"] {
		j.Path = &pathJSON{IsComplete: false, Elements: []pathElementJSON{}} // system nodes have no path to show
	}
	j.include(in, true)
	return j
}

// downloadsContainer is the id of the system folder that download nodes are in.
var downloadsContainer = nodeID("sys:downloads")

func (j *nodeJSON) include(in includes, mayDelete bool) {
	if in["aspectNames"] {
		j.AspectNames = []string{"cm:auditable"}
	}
	if in["isLocked"] {
		j.IsLocked = new(bool)
	}
	if in["properties"] {
		j.Properties = map[string]any{"cm:name": j.Name}
	}
	if in["allowableOperations"] && mayDelete {
		j.AllowableOperations = []string{"delete"}
	}
}

// pathJSON shows the folders above n that a may read.
func (s *Repository) pathJSON(n node, a *account) *pathJSON {
	p := &pathJSON{IsComplete: true, Elements: []pathElementJSON{}}
	var names []string
	var above []string
	for path, _, ok := cutLast(n.path); ok; path, _, ok = cutLast(path) {
		above = append(above, path)
	}
	for i := len(above) - 1; i >= 0; i-- {
		f, ok := s.tree.byPath(above[i])
		if !ok || !a.mayRead(f.path) {
			p.IsComplete = false
			continue
		}
		names = append(names, f.name)
		p.Elements = append(p.Elements, pathElementJSON{f.id, f.name, nodeType(f)})
	}
	p.Name = "/" + strings.Join(names, "/")
	return p
}

// nodeType is the node's type in Alfresco's content model.
func nodeType(n node) string {
	parent, _, _ := cutLast(n.path)
	switch {
	case !n.folder:
		return "cm:content"
	case n.path == "Sites":
		return "st:sites"
	case parent == "Sites":
		return "st:site"
	}
	return "cm:folder"
}
