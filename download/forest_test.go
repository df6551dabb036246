package download_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"downloadfs/download"
)

// forest is a server with folders and a limit, in memory and in virtual time. Its zips
// are real. Node ids are their paths, with underscores for slashes and hyphens for
// spaces.
type forest struct {
	mu    sync.Mutex // guards all below
	trees map[string]*leaf
	limit int64
	// more is how much the server counts in addition to the content that the nodes API
	// reports.
	more    int64
	zipping time.Duration // of each zip
	hook    func(op string, id string) error
	zips    map[download.ID]*grown
	made    int
	asked   [][]download.NodeID // successful Creates
	count   map[string]int
	peak    int // zips with content at once
}

// leaf is a file or folder.
type leaf struct {
	name     string
	folder   bool
	data     string
	children []string // ids, in the order of a zip
	modified time.Time
}

// grown is a download.
type grown struct {
	nodes []download.NodeID
	began time.Time
	state download.Status // "" for the state that it reaches by itself
	zip   []byte
	progress
}

type progress struct{ bytes, files int64 }

// newForest has the files of content, by path; one that ends in a slash is a folder.
// Children are in order of their names, files first.
func newForest(limit int64, content map[string]string) *forest {
	f := &forest{trees: make(map[string]*leaf), limit: limit, zips: make(map[download.ID]*grown), count: make(map[string]int), zipping: time.Second}
	var put func(path string, l *leaf)
	put = func(path string, l *leaf) {
		id := forestID(path)
		if f.trees[id] != nil {
			return
		}
		at := strings.LastIndexByte(path, '/')
		l.name = path[at+1:]
		l.modified = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		f.trees[id] = l
		if at > 0 {
			put(path[:at], &leaf{folder: true})
			up := f.trees[forestID(path[:at])]
			up.children = append(up.children, id)
			slices.SortFunc(up.children, func(a, b string) int {
				x, y := f.trees[a], f.trees[b]
				if x.folder != y.folder {
					return map[bool]int{true: 1, false: -1}[x.folder]
				}
				return strings.Compare(x.name, y.name)
			})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(content)) {
		if folder, ok := strings.CutSuffix(path, "/"); ok {
			put(folder, &leaf{folder: true})
		} else {
			put(path, &leaf{data: content[path]})
		}
	}
	return f
}

func forestID(path string) string { return strings.NewReplacer("/", "_", " ", "-").Replace(path) }

// list asks for nodes by their paths.
func forestList(paths ...string) (l download.List) {
	for _, p := range paths {
		l.Entries = append(l.Entries, download.Entry{Node: download.NodeID(forestID(p))})
	}
	return l
}

// calls returns how many requests of a kind there were.
func (f *forest) calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[op]
}

func (f *forest) enter(op, id string) error {
	f.mu.Lock()
	f.count[op]++
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, id)
}

func (f *forest) Check(context.Context) error { return nil }
func (f *forest) Resolve(_ context.Context, path string) (download.NodeID, error) {
	return "", fmt.Errorf("resolve %s: %w", path, download.ErrNotFound)
}

func (f *forest) Node(_ context.Context, id download.NodeID) (download.Node, error) {
	if err := f.enter("Node", string(id)); err != nil {
		return download.Node{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.node(string(id))
}

func (f *forest) node(id string) (download.Node, error) {
	l := f.trees[id]
	if l == nil {
		return download.Node{}, fmt.Errorf("node %s: %w", id, download.ErrNotFound)
	}
	return download.Node{ID: download.NodeID(id), Name: l.name, Folder: l.folder, Size: int64(len(l.data)), ModifiedAt: l.modified}, nil
}

func (f *forest) Children(_ context.Context, id download.NodeID, skip int) (page []download.Node, more bool, err error) {
	if err := f.enter("Children", string(id)); err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.trees[string(id)]
	if l == nil {
		return nil, false, fmt.Errorf("children %s: %w", id, download.ErrNotFound)
	}
	for _, c := range l.children[min(skip, len(l.children)):] {
		if len(page) == 2 {
			return page, true, nil
		}
		if n, err := f.node(c); err == nil {
			page = append(page, n)
		}
	}
	return page, false, nil
}

// export writes a node and all below it.
func (f *forest) export(z *zip.Writer, id, path string, p *progress) {
	l := f.trees[id]
	if l == nil {
		return
	}
	if l.folder {
		_, _ = z.CreateHeader(&zip.FileHeader{Name: path + l.name + "/", Modified: l.modified})
		for _, c := range l.children {
			f.export(z, c, path+l.name+"/", p)
		}
		return
	}
	w, _ := z.CreateHeader(&zip.FileHeader{Name: path + l.name, Method: zip.Deflate, Modified: l.modified})
	_, _ = io.WriteString(w, l.data)
	p.bytes, p.files = p.bytes+int64(len(l.data)), p.files+1
}

// oneZip returns the zip that a server without a limit makes.
func (f *forest) oneZip(nodes []download.NodeID) ([]byte, progress) {
	var b bytes.Buffer
	var p progress
	z := zip.NewWriter(&b)
	for _, n := range nodes {
		f.export(z, string(n), "", &p)
	}
	_ = z.Close()
	return b.Bytes(), p
}

func (f *forest) Create(_ context.Context, nodes []download.NodeID) (download.Progress, error) {
	if err := f.enter("Create", string(nodes[0])); err != nil {
		return download.Progress{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range nodes {
		if f.trees[string(n)] == nil {
			return download.Progress{}, fmt.Errorf("create: %w", download.ErrNotFound)
		}
	}
	f.made++
	id := download.ID(fmt.Sprintf("zip-%d", f.made))
	g := &grown{nodes: nodes, began: time.Now()}
	g.zip, g.progress = f.oneZip(nodes)
	g.bytes += f.more
	f.zips[id] = g
	f.asked = append(f.asked, nodes)
	held := 0
	for _, g := range f.zips {
		if g.bytes <= f.limit && g.state != download.StatusCancelled {
			held++
		}
	}
	f.peak = max(f.peak, held)
	return f.tell(id, g), nil
}

// tell returns the download's state now. f.mu is held.
func (f *forest) tell(id download.ID, g *grown) download.Progress {
	p := download.Progress{ID: id, Status: download.StatusPending}
	took := time.Since(g.began)
	switch {
	case took <= 0:
	case g.bytes > f.limit:
		p.Status, p.BytesAdded, p.TotalBytes, p.TotalFiles = download.StatusTooLarge, f.limit, g.bytes, g.files
	default:
		done := min(1, float64(took)/float64(f.zipping))
		p.Status, p.TotalBytes, p.TotalFiles = download.StatusInProgress, g.bytes, g.files
		p.BytesAdded = int64(done * float64(g.bytes))
		if done == 1 {
			p.Status, p.BytesAdded, p.FilesAdded = download.StatusDone, g.bytes-f.more, g.files
		}
	}
	if g.state != "" {
		p.Status = g.state
	}
	return p
}

func (f *forest) find(op string, id download.ID) (*grown, error) {
	if err := f.enter(op, string(id)); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.zips[id]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("%s %s: %w", op, id, download.ErrNotFound)
}

func (f *forest) Get(_ context.Context, id download.ID) (download.Progress, error) {
	g, err := f.find("Get", id)
	if err != nil {
		return download.Progress{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tell(id, g), nil
}

func (f *forest) Cancel(_ context.Context, id download.ID) error {
	g, err := f.find("Cancel", id)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.tell(id, g).Status.Ended() {
		g.state = download.StatusCancelled
	}
	return nil
}

func (f *forest) Delete(_ context.Context, id download.ID) error {
	if _, err := f.find("Delete", id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.zips, id)
	return nil
}

func (f *forest) Archive(_ context.Context, id download.ID) (download.ArchiveInfo, error) {
	g, err := f.find("Archive", id)
	if err != nil {
		return download.ArchiveInfo{}, err
	}
	return download.ArchiveInfo{ID: id, Name: "archive.zip", Size: int64(len(g.zip)), ModifiedAt: g.began}, nil
}

func (f *forest) Stream(_ context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	if err := f.enter("Stream", string(a.Content())); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var b []byte
	if g := f.zips[download.ID(a.Content())]; g != nil {
		b = g.zip
	} else if l := f.trees[string(a.Content())]; l != nil {
		b = []byte(l.data)
	} else {
		return nil, fmt.Errorf("stream %s: %w", a.ID, download.ErrNotFound)
	}
	if int64(len(b)) != a.Size {
		return nil, fmt.Errorf("stream %s: %w", a.ID, download.ErrChanged)
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(b[off:end]))), nil
}

// left returns the zips on the server.
func (f *forest) left() []download.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.zips))
}

func (f *forest) onCall(hook func(op, id string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}
