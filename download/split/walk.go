package split

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Node is a file or folder.
type Node struct {
	ID       string
	Name     string
	Folder   bool
	Size     int64 // of a file's content
	Modified time.Time
}

// Repository is what Walk walks.
type Repository interface {
	Node(ctx context.Context, id string) (Node, error)
	// Children returns a page of a folder's children after the first skip, in the order
	// of the zip, and whether there are more.
	Children(ctx context.Context, id string, skip int) (page []Node, more bool, err error)
}

// ErrGone is wrapped by a Repository's error when a node no longer exists, or not for
// this user.
var ErrGone = errors.New("gone")

// ErrTooDeep means that folders are nested without end.
var ErrTooDeep = errors.New("folders nested too deep")

// Limits bound what is asked for at once.
type Limits struct {
	// Part is the most bytes of content that a part has.
	Part int64
	// File is the size of the largest file in a part.
	File int64
	// Nodes is the most nodes that a part asks for; 0 means 10,000.
	Nodes int
}

func (l Limits) fits(t *Tree) bool { return t.Bytes <= l.Part && t.Largest <= l.File }

// Tree is a node and everything below it, reduced to what the plan needs: a folder that
// fits as a whole has no children here.
type Tree struct {
	Node
	Bytes    int64 // of all content
	Files    int64
	Folders  int64 // itself included
	Largest  int64 // of a file
	Children []Tree
}

const (
	maxDepth   = 200
	maxWalkers = 4 // requests at once
	// DefaultNodes is the default of Limits.Nodes: a request for so many is some 400
	// kB.
	DefaultNodes = 10_000
)

// Walk walks the nodes with the ids. It leaves out nodes that are gone. If a folder
// below cannot be listed, nothing is known of it, so it is asked for as it is: the
// server knows what is in it.
func Walk(ctx context.Context, repo Repository, ids []string, limits Limits) ([]Tree, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &walker{repo: repo, limits: limits, helpers: make(chan struct{}, maxWalkers-1)}
	trees := make([]Tree, len(ids))
	var group sync.WaitGroup
	for i, id := range ids {
		w.share(&group, func() {
			n, err := repo.Node(ctx, id)
			if err == nil {
				trees[i], err = w.tree(ctx, n, 0)
			}
			if err != nil && !errors.Is(err, ErrGone) {
				cancel(err)
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return present(trees), nil
}

// present drops the trees of nodes that were gone.
func present(trees []Tree) []Tree {
	kept := trees[:0]
	for _, t := range trees {
		if t.ID != "" {
			kept = append(kept, t)
		}
	}
	return kept
}

type walker struct {
	repo    Repository
	limits  Limits
	helpers chan struct{}
}

// share does work in a goroutine of its own if there are not too many, and otherwise in
// this one.
func (w *walker) share(group *sync.WaitGroup, work func()) {
	select {
	case w.helpers <- struct{}{}:
		group.Go(func() {
			defer func() { <-w.helpers }()
			work()
		})
	default:
		work()
	}
}

func (w *walker) tree(ctx context.Context, n Node, depth int) (Tree, error) {
	t := Tree{Node: n, Bytes: n.Size, Files: 1, Largest: n.Size}
	if !n.Folder {
		return t, nil
	}
	if depth == maxDepth {
		return Tree{}, fmt.Errorf("folder %q: %w", n.Name, ErrTooDeep)
	}
	t.Bytes, t.Files, t.Folders, t.Largest = 0, 0, 1, 0
	children, err := w.list(ctx, n.ID)
	if errors.Is(err, ErrGone) {
		return t, nil
	}
	if err != nil {
		return Tree{}, err
	}
	t.Children = make([]Tree, len(children))
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for i, c := range children {
		if !c.Folder {
			t.Children[i], _ = w.tree(ctx, c, depth+1)
			continue
		}
		w.share(&group, func() {
			child, err := w.tree(ctx, c, depth+1)
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
			t.Children[i] = child
		})
		if failed.Load() != nil {
			break
		}
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return Tree{}, *err
	}
	for i := range t.Children {
		c := &t.Children[i]
		t.Bytes, t.Files, t.Folders = t.Bytes+c.Bytes, t.Files+c.Files, t.Folders+c.Folders
		t.Largest = max(t.Largest, c.Largest)
	}
	if w.limits.fits(&t) {
		t.Children = nil
	}
	return t, nil
}

// errSamePage means that a repository does not go on in a folder.
var errSamePage = errors.New("the server answers with the same page of a folder again and again")

// list returns all children of a folder. A folder that changes while its pages are
// read can show a child twice.
func (w *walker) list(ctx context.Context, id string) ([]Node, error) {
	var all []Node
	var seen map[string]bool
	for more, skip := true, 0; more; {
		page, m, err := w.repo.Children(ctx, id, skip)
		if err != nil {
			return nil, err
		}
		if m && seen == nil {
			seen = make(map[string]bool)
		}
		skip += len(page)
		before := len(all)
		for _, n := range page {
			if seen != nil {
				if seen[n.ID] {
					continue
				}
				seen[n.ID] = true
			}
			all = append(all, n)
		}
		more = m && len(page) > 0
		if more && len(all) == before {
			return nil, fmt.Errorf("list folder %s: %w", id, errSamePage)
		}
	}
	return all, nil
}
