package repository

import (
	iofs "io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// nodeNamespace is the namespace of node ids. An id is the version 5 UUID of the path
// in the served folder, so it is the same in every run.
var nodeNamespace = uuid.MustParse("3c5c9f1e-6a0b-4d0e-9b55-0d7b1f1f6a11")

func nodeID(path string) string {
	return uuid.NewSHA1(nodeNamespace, []byte(path)).String()
}

// node is a file or folder of the served folder, as it was when found.
type node struct {
	id       string
	path     string // slash-separated, "" for the root
	name     string
	folder   bool
	size     int64
	modified time.Time
}

// tree is the served folder seen as nodes. Only folders and regular files are nodes.
// A symbolic link could lead in circles or past a permission.
type tree struct {
	root *os.Root

	mu      sync.RWMutex        // guards paths and deleted
	paths   map[string]string   // node id -> path, for every node seen so far
	deleted map[string]struct{} // paths that a caller has deleted

	walkMu sync.Mutex    // held while the folder is walked
	walks  atomic.Uint64 // number of walks started so far
}

func newTree(root *os.Root) *tree {
	t := &tree{root: root, paths: make(map[string]string), deleted: make(map[string]struct{})}
	t.paths[nodeID("")] = ""
	return t
}

// byID returns the node with the id, if there is one.
func (t *tree) byID(id string) (node, bool) {
	path, ok := t.pathOf(id)
	if !ok {
		return node{}, false
	}
	return t.byPath(path)
}

// pathOf finds the path for an id. An unknown id costs a walk of the whole folder.
// All callers that wait for the walk share it.
func (t *tree) pathOf(id string) (string, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 5 || u.String() != id {
		return "", false // nodeID never returns such an id
	}
	if p, ok := t.known(id); ok {
		return p, true
	}
	before := t.walks.Load()
	t.walkMu.Lock()
	defer t.walkMu.Unlock()
	if t.walks.Load() == before { // otherwise another walk has started and ended since
		t.walks.Add(1)
		t.walk()
	}
	return t.known(id)
}

func (t *tree) known(id string) (string, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p, ok := t.paths[id]
	return p, ok
}

// walk visits every node.
func (t *tree) walk() {
	var met []string
	_ = iofs.WalkDir(t.root.FS(), ".", func(p string, d iofs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return nil // a file that cannot be read is not a node
		}
		if !utf8.ValidString(p) {
			if d.IsDir() {
				return iofs.SkipDir
			}
			return nil
		}
		if p != "." {
			met = append(met, p)
		}
		return nil
	})
	t.remember(met...)
}

func (t *tree) remember(paths ...string) {
	ids := make([]string, len(paths))
	for i, p := range paths {
		ids[i] = nodeID(p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, p := range paths {
		t.paths[ids[i]] = p
	}
}

// byPath returns the node at path, if there is one.
func (t *tree) byPath(path string) (node, bool) {
	if !validPath(path) || t.isDeleted(path) {
		return node{}, false
	}
	// Every folder on the way must be a real folder: os.Root would follow links that
	// stay inside.
	for i, c := range path {
		if c != '/' {
			continue
		}
		if fi, err := t.root.Lstat(path[:i]); err != nil || !fi.IsDir() {
			return node{}, false
		}
	}
	fi, err := t.root.Lstat(osPath(path))
	if err != nil {
		return node{}, false
	}
	n, ok := newNode(path, fi)
	if ok {
		t.remember(path)
	}
	return n, ok
}

// children returns the nodes in a folder, by name.
func (t *tree) children(path string) ([]node, error) {
	d, err := t.root.Open(osPath(path))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	nodes := make([]node, 0, len(entries))
	met := make([]string, 0, len(entries))
	for _, e := range entries {
		p := joinPath(path, e.Name())
		if !utf8.ValidString(p) || t.isDeleted(p) {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		if n, ok := newNode(p, fi); ok {
			nodes, met = append(nodes, n), append(met, p)
		}
	}
	t.remember(met...)
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return nodes, nil
}

// open opens a file's content, if the file is still there. A zip gets to a file long
// after the folder was listed.
func (t *tree) open(path string) (*os.File, error) {
	if n, ok := t.byPath(path); !ok || n.folder {
		return nil, &iofs.PathError{Op: "open", Path: path, Err: iofs.ErrNotExist}
	}
	return t.root.Open(path)
}

// delete forgets the node at path and everything below it. The folder on disk stays
// as it is.
func (t *tree) delete(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deleted[path] = struct{}{}
}

func (t *tree) isDeleted(path string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.deleted) == 0 {
		return false
	}
	for ok := true; ok; path, _, ok = cutLast(path) {
		if _, gone := t.deleted[path]; gone {
			return true
		}
	}
	return false
}

func (t *tree) deletedPaths() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	paths := make([]string, 0, len(t.deleted))
	for p := range t.deleted {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

func newNode(path string, fi os.FileInfo) (node, bool) {
	if !fi.IsDir() && !fi.Mode().IsRegular() {
		return node{}, false
	}
	_, name, ok := cutLast(path)
	if !ok {
		name = "Company Home" // Alfresco's name for its root
	}
	n := node{id: nodeID(path), path: path, name: name, folder: fi.IsDir(), modified: fi.ModTime()}
	if !n.folder {
		n.size = fi.Size()
	}
	return n, true
}

// validPath reports whether path could be a node's: relative, clean, UTF-8.
func validPath(path string) bool {
	return path == "" || path != "." && iofs.ValidPath(path) && !strings.ContainsRune(path, 0)
}

func joinPath(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// osPath returns path in the form that os.Root wants.
func osPath(path string) string {
	if path == "" {
		return "."
	}
	return path
}
