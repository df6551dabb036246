package split

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tree is a repository. It maps a folder's path, "" or ending in a slash, to its
// children in order; a file's size follows a colon. Ids are paths.
type tree struct {
	folders map[string][]string
	page    int
	calls   atomic.Int64
	now     atomic.Int64
	peak    atomic.Int64
	fail    map[string]error
}

func newTree(folders map[string][]string) *tree { return &tree{folders: folders, page: 3} }

func (r *tree) node(path, child string) Node {
	if name, ok := strings.CutSuffix(child, "/"); ok {
		return Node{ID: path + child, Name: name, Folder: true}
	}
	name, size, _ := strings.Cut(child, ":")
	n := Node{ID: path + child, Name: name}
	fmt.Sscan(size, &n.Size)
	return n
}

func (r *tree) enter(id string) func() {
	r.calls.Add(1)
	now := r.now.Add(1)
	for peak := r.peak.Load(); now > peak && !r.peak.CompareAndSwap(peak, now); peak = r.peak.Load() {
	}
	time.Sleep(time.Millisecond)
	return func() { r.now.Add(-1) }
}

func (r *tree) Node(_ context.Context, id string) (Node, error) {
	defer r.enter(id)()
	if err := r.fail[id]; err != nil {
		return Node{}, err
	}
	trimmed := strings.TrimSuffix(id, "/")
	i := strings.LastIndex(trimmed, "/") + 1
	return r.node(id[:i], id[i:]), nil
}

func (r *tree) Children(_ context.Context, id string, skip int) ([]Node, bool, error) {
	defer r.enter(id)()
	if err := r.fail[id]; err != nil {
		return nil, false, err
	}
	all := r.folders[id]
	page := all[min(skip, len(all)):]
	page = page[:min(r.page, len(page))]
	var nodes []Node
	for _, c := range page {
		nodes = append(nodes, r.node(id, c))
	}
	return nodes, skip+len(page) < len(all), nil
}

func plan(t *testing.T, r *tree, l Limits, ids ...string) []string {
	t.Helper()
	var words []string
	synctest.Test(t, func(t *testing.T) {
		trees, err := Walk(t.Context(), r, ids, l)
		require.NoError(t, err)
		for _, p := range Plan(trees, l) {
			switch p.Kind {
			case Part:
				words = append(words, fmt.Sprintf("%s{%s} %d", p.Path, strings.Join(p.Nodes, " "), p.Bytes))
			case Folder:
				words = append(words, p.Path+"/")
			case File:
				words = append(words, fmt.Sprintf("%s=%d", p.Path, p.Bytes))
			}
		}
	})
	return words
}

func TestPlan(t *testing.T) {
	r := newTree(map[string][]string{
		"a/":     {"x:40", "y:50", "z:20", "b/", "w:10", "v:70", "c/", "huge:300"},
		"a/b/":   {"1:60", "2:60", "e/"},
		"a/c/":   {"1:1", "d/"},
		"a/c/d/": {"2:1"},
	})
	l := Limits{Part: 100, File: 1000}
	require.Equal(t, []string{
		"a/", "a/{a/x:40 a/y:50} 90", "a/{a/z:20} 20",
		"a/b/", "a/b/{a/b/1:60} 60", "a/b/{a/b/2:60 a/b/e/} 60",
		"a/{a/w:10 a/v:70 a/c/} 82", "a/huge=300",
	}, plan(t, r, l, "a/"))
	// A node that fits is asked for as it is.
	require.Equal(t, []string{"{a/c/ a/x:40} 42"}, plan(t, r, l, "a/c/", "a/x:40"))
	// A file that no zip can hold is no part, even if the sum would fit.
	require.Equal(t, []string{"b/", "b/1=60", "b/2=60", "b/{a/b/e/} 0"}, plan(t, r, Limits{Part: 1000, File: 59}, "a/b/"))
}

// A part is never over a limit, nothing is lost or there twice, and the order is kept.
func TestPlanKeepsAll(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		folders := map[string][]string{}
		var files []string
		var grow func(path string, depth int)
		grow = func(path string, depth int) {
			for i := range rng.IntN(9) {
				if depth < 4 && rng.IntN(3) == 0 {
					child := fmt.Sprintf("d%d/", i)
					folders[path] = append(folders[path], child)
					grow(path+child, depth+1)
					continue
				}
				child := fmt.Sprintf("f%d:%d", i, rng.IntN(60))
				folders[path] = append(folders[path], child)
				files = append(files, path+child)
			}
		}
		grow("r/", 0)
		l := Limits{Part: int64(50 + rng.IntN(200)), File: 55, Nodes: 1 + rng.IntN(5)}
		synctest.Test(t, func(t *testing.T) {
			r := newTree(folders)
			trees, err := Walk(t.Context(), r, []string{"r/"}, l)
			require.NoError(t, err)
			require.LessOrEqual(t, r.peak.Load(), int64(maxWalkers))
			var got []string
			var below func(id string)
			below = func(id string) {
				if !strings.HasSuffix(id, "/") {
					got = append(got, id)
				}
				for _, c := range folders[id] {
					below(id + c)
				}
			}
			for _, p := range Plan(trees, l) {
				require.True(t, p.Kind != Part || p.Bytes <= l.Part && len(p.Nodes) <= l.Nodes && len(p.Nodes) > 0)
				before := len(got)
				for _, id := range p.Nodes {
					require.True(t, strings.HasPrefix(id, p.Path), "%s in %s", id, p.Path)
					below(id)
				}
				sum := int64(0)
				for _, f := range got[before:] {
					sum += r.node("", f).Size
				}
				require.Equal(t, p.Bytes, sum)
				require.Equal(t, p.Files, int64(len(got)-before))
			}
			require.Equal(t, files, got)
		})
	}
}

// A node that is gone is left out, and a folder that cannot be listed is asked for as
// it is. Any other error ends the walk.
func TestWalkErrors(t *testing.T) {
	r := newTree(map[string][]string{"a/": {"b/", "c:5"}, "a/b/": {"d:1"}})
	r.fail = map[string]error{"a/b/": fmt.Errorf("list: %w", ErrGone), "x:1": ErrGone}
	require.Equal(t, []string{"{a/} 5"}, plan(t, r, Limits{Part: 10, File: 10}, "x:1", "a/"))
	require.Equal(t, []string{"a/", "a/{a/b/} 0", "a/c=5"}, plan(t, r, Limits{Part: 4, File: 4}, "a/"))
	boom := errors.New("boom")
	r.fail["a/b/"] = boom
	_, err := Walk(t.Context(), r, []string{"a/"}, Limits{})
	require.ErrorIs(t, err, boom)
	delete(r.fail, "a/b/")
	r.fail["x:1"] = boom
	_, err = Walk(t.Context(), r, []string{"x:1", "a/"}, Limits{})
	require.ErrorIs(t, err, boom)
	r.folders["a/b/"] = []string{"b/"}
	loop := loop{}
	_, err = Walk(t.Context(), loop, []string{"a"}, Limits{})
	require.ErrorIs(t, err, ErrTooDeep)
}

// A server that ignores how many children to skip is not asked for ever.
func TestWalkSamePage(t *testing.T) {
	_, err := Walk(t.Context(), stuck{}, []string{"a"}, Limits{})
	require.ErrorIs(t, err, errSamePage)
}

// stuck is a folder whose first page comes again and again.
type stuck struct{ loop }

func (stuck) Children(context.Context, string, int) ([]Node, bool, error) {
	return []Node{{ID: "b", Name: "b", Size: 1}, {ID: "c", Name: "c", Size: 1}}, true, nil
}

// loop is a folder that contains itself.
type loop struct{}

func (loop) Node(context.Context, string) (Node, error) {
	return Node{ID: "a", Name: "a", Folder: true}, nil
}
func (loop) Children(context.Context, string, int) ([]Node, bool, error) {
	return []Node{{ID: "a", Name: "a", Folder: true}}, false, nil
}
