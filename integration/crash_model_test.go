package integration

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// crashTree makes the folder that the models' downloads are of: documents and
// folders of photos that are zipped soon, and scans that take many minutes.
func crashTree(t testing.TB) string {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	for i := range 8 {
		files[fmt.Sprintf("doc-%d.txt", i)] = strings.Repeat(fmt.Sprintf("line of document %d\n", i), 500*(i+1))
		files[fmt.Sprintf("mark-%d.txt", i)] = fmt.Sprintf("list of worker %d\n", i)
		for j := range 5 {
			files[fmt.Sprintf("photos-%d/%d.jpg", i%4, j)] = harness.Noise(uint64(10*i+j), 250_000)
		}
	}
	harness.Tree(t, dir, files)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "scans"), 0o755))
	for i := range 5000 { // all holes
		name := filepath.Join(dir, fmt.Sprintf("scans/%04d.tif", i))
		require.NoError(t, os.WriteFile(name, nil, 0o644))
		require.NoError(t, os.Truncate(name, 400_000))
	}
	return dir
}

// maybe says whether something is so: known, or cut off in the middle.
type maybe int

const (
	no maybe = iota
	perhaps
	yes
)

// crashItem is what is known of one download.
type crashItem struct {
	key       int
	worker    int
	id        string   // "" until it is known
	names     []string // what it may be called; more than one after a rename that was cut off
	paths     []string // what was asked for, in order
	adopted   bool     // its list is not known here
	listed    maybe
	cancelled maybe
	removing  bool // a remove was cut off
	ended     bool // it was read, so it is DONE
	doubtful  bool // its zip was not surely finished when the server was started again
	status    string
}

func (d *crashItem) slow() bool { return slices.Contains(d.paths, "scans") }

// crashModel knows what every download of a mount must be.
type crashModel struct {
	server *harness.Server
	mount  *harness.Mount
	random *rand.Rand
	// troubled says that the server was out of reach or started again at times.
	troubled bool
	nodes    map[string]string // path → node id
	digests  map[string]string // paths → what an archive of them holds
	sums     map[string]string // id → the archive's MD5 sum on the server
	last     struct {          // an archive as the server sends it
		id    string
		bytes []byte
	}

	items   map[int]*crashItem
	lastKey int
	removed []string        // ids whose node must go from the server
	stopped []string        // ids that must be CANCELLED there, or gone
	adopts  []string        // ids to be adopted
	created map[string]bool // ids that the server gave out and that are accounted for
	ending  []*crashItem    // removed or cancelled since threadsAreFree
	// madeBefore are downloads that the server has made and that are not yet
	// accounted for.
	madeBefore []string
	lost       int // creations cut off and not listed
	orphans    int // of these, those that the server has made
	survived   int // creations cut off that are listed
	checked    int // archives that were read and compared
}

func newCrashModel(t testing.TB, s *harness.Server, m *harness.Mount, seed uint64) *crashModel {
	t.Helper()
	c := &crashModel{server: s, mount: m, random: rand.New(rand.NewPCG(seed, 0)),
		nodes: map[string]string{}, digests: map[string]string{}, sums: map[string]string{}, items: map[int]*crashItem{}, created: map[string]bool{}}
	tops, err := os.ReadDir(s.Dir)
	require.NoError(t, err)
	for _, e := range tops {
		c.nodes[e.Name()] = s.NodeID(t, e.Name())
	}
	return c
}

// archiveOf returns the digest of what an archive of paths must hold, computed
// from the files that are served.
func (c *crashModel) archiveOf(t testing.TB, paths []string) string {
	t.Helper()
	key := strings.Join(paths, " ")
	if digest, ok := c.digests[key]; ok {
		return digest
	}
	var names []string
	for _, path := range paths {
		require.NoError(t, filepath.WalkDir(filepath.Join(c.server.Dir, path), func(name string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				names = append(names, strings.TrimPrefix(name, c.server.Dir+"/"))
			}
			return err
		}))
	}
	slices.Sort(names)
	h := md5.New()
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(c.server.Dir, name))
		require.NoError(t, err)
		sum := md5.Sum(content)
		fmt.Fprintf(h, "%s\x00%s", name, sum[:])
	}
	c.digests[key] = fmt.Sprintf("%x", h.Sum(nil))
	return c.digests[key]
}

// sum returns the MD5 sum of a finished archive on the server.
func (c *crashModel) sum(t testing.TB, id string) string {
	t.Helper()
	if _, ok := c.sums[id]; !ok {
		c.sums[id] = archiveMD5(t, c.server, id)
	}
	return c.sums[id]
}

// list is the text to write to new for the paths of the download called key. Each
// names other versions, which servers ignore: from the same process the same list
// again would ask for nothing.
func (c *crashModel) list(key int, paths []string) string {
	var ids []string
	for _, path := range paths {
		ids = append(ids, fmt.Sprintf("%s;1.%d", c.nodes[path], key))
	}
	return strings.Join(ids, "\n") + "\n"
}

// mine returns a worker's downloads that are surely listed, oldest first.
func (c *crashModel) mine(worker int, ok func(*crashItem) bool) []*crashItem {
	var found []*crashItem
	for _, d := range c.items {
		if d.worker == worker && d.listed == yes && ok(d) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *crashItem) int { return a.key - b.key })
	return found
}

// The kinds of downloads that are asked for.
const (
	small  = iota // done at once
	middle        // done in a moment, and worth fetching
	large         // not done while a test runs
)

// crashPlan is what a worker is going to do.
type crashPlan struct {
	worker int
	ops    []crashOp
	paths  map[int][]string // what its creations ask for, by key
	names  map[int]string
}

func (c *crashModel) newPlan(worker int) *crashPlan {
	p := &crashPlan{worker: worker, paths: map[int][]string{}, names: map[int]string{}}
	for _, d := range c.mine(worker, func(*crashItem) bool { return true }) {
		p.names[d.key] = d.names[0]
	}
	return p
}

// create plans to ask for a download and returns its key.
func (c *crashModel) create(p *crashPlan, kind int) int {
	c.lastKey++
	paths := []string{fmt.Sprintf("mark-%d.txt", p.worker)}
	switch kind {
	case small:
		paths = append(paths, fmt.Sprintf("doc-%d.txt", c.random.IntN(8)))
	case middle:
		paths = append(paths, fmt.Sprintf("photos-%d", c.random.IntN(4)))
	case large:
		paths = append(paths, "scans")
	}
	p.paths[c.lastKey] = paths
	p.ops = append(p.ops, crashOp{Op: "create", Key: c.lastKey, List: c.list(c.lastKey, paths)})
	return c.lastKey
}

func (p *crashPlan) do(op string, key int) { p.ops = append(p.ops, crashOp{Op: op, Key: key}) }

func (p *crashPlan) part(key int, where float64) {
	p.ops = append(p.ops, crashOp{Op: "part", Key: key, Where: where})
}

func (p *crashPlan) rename(key int, name string) {
	p.ops = append(p.ops, crashOp{Op: "rename", Key: key, Name: name})
}

// crashFocuses are the operations of which a plan is mostly made.
var crashFocuses = map[string]func(c *crashModel, p *crashPlan){
	"create": func(c *crashModel, p *crashPlan) {
		c.create(p, large)
		for range 6 {
			c.create(p, c.random.IntN(large))
		}
	},
	"wait": func(c *crashModel, p *crashPlan) {
		for range 4 {
			p.do("read", c.create(p, middle))
		}
	},
	"cold read": func(c *crashModel, p *crashPlan) {
		for range 4 {
			key := c.create(p, middle)
			p.do("done", key)
			p.part(key, c.random.Float64())
			p.part(key, c.random.Float64())
			p.do("read", key)
		}
	},
	"cached read": func(c *crashModel, p *crashPlan) {
		key := c.create(p, small)
		for range 60 {
			p.do("read", key)
			p.part(key, c.random.Float64())
		}
	},
	"rename": func(c *crashModel, p *crashPlan) {
		key := c.create(p, c.random.IntN(3))
		for i := range 40 {
			p.rename(key, fmt.Sprintf("name %d of %d", i, key))
			if i%10 == 9 {
				p.rename(key, "")
			}
		}
	},
	"adopt": func(c *crashModel, p *crashPlan) {
		for range min(10, len(c.adopts)) {
			id := c.adopts[0]
			c.adopts = c.adopts[1:]
			c.lastKey++
			p.ops = append(p.ops, crashOp{Op: "adopt", Key: c.lastKey, Name: id})
			p.do("remove", c.lastKey)
		}
	},
	"cancel": func(c *crashModel, p *crashPlan) {
		for i := range 8 {
			key := c.create(p, large)
			p.do("cancel", key)
			if i%2 == 0 {
				p.do("remove", key)
			}
		}
	},
	"drop": func(c *crashModel, p *crashPlan) {
		key := c.create(p, small)
		for range 20 {
			p.do("read", key)
			for range 4 {
				p.do("drop", key)
			}
		}
	},
	"remove running": func(c *crashModel, p *crashPlan) {
		for range 10 {
			p.do("remove", c.create(p, large))
		}
	},
	"remove done": func(c *crashModel, p *crashPlan) {
		for range 10 {
			key := c.create(p, small)
			p.do("read", key)
			p.do("remove", key)
		}
	},
	"prefetch": func(c *crashModel, p *crashPlan) {
		for range 4 {
			p.do("fetch", c.create(p, middle))
		}
	},
}

// plan returns what a worker does next: mostly one kind of thing, after making
// room among what it has.
func (c *crashModel) plan(worker int, focus string) *crashPlan {
	p := c.newPlan(worker)
	// The server has eight threads for zipping: three workers may keep no more than
	// one of them busy each, and one more for a while.
	const keep, keepRunning = 5, 1
	removed := map[int]bool{}
	remove := func(keep int, ok func(*crashItem) bool) {
		all := c.mine(worker, ok)
		for _, d := range all[:max(0, len(all)-keep)] {
			p.do("remove", d.key)
			removed[d.key] = true
		}
	}
	remove(keepRunning, func(d *crashItem) bool { return d.slow() && d.cancelled == no })
	remove(keep, func(d *crashItem) bool { return !removed[d.key] })
	crashFocuses[focus](c, p)
	return p
}

// settle takes in what a worker has told of its plan. What it was about when the
// mount died may have happened or not; that it died is the only reason to fail.
func (c *crashModel) settle(t testing.TB, p *crashPlan, answers []crashAnswer, killed time.Time) (inFlight string) {
	t.Helper()
	for i, op := range p.ops {
		if i == len(answers) {
			break
		}
		a := answers[i]
		if a.Errno == "ok" {
			c.happened(t, p, op, a.Result)
			continue
		}
		require.False(t, a.At.Before(killed), "%s failed with %s while the mount was alive: %s", op.Op, a.Errno, a.Result)
		// EIO is of the kernel's own: of an inode that it gave up, of the page cache,
		// which keeps no other errno.
		may := []string{"ENOTCONN", "ECONNABORTED", "EIO"}
		require.Contains(t, may, a.Errno, "%s when the mount died: %s", op.Op, a.Result)
		c.cutOff(p, op)
		return op.Op
	}
	return ""
}

// happened takes in an operation that was acknowledged.
func (c *crashModel) happened(t testing.TB, p *crashPlan, op crashOp, result json.RawMessage) {
	t.Helper()
	d := c.items[op.Key]
	switch op.Op {
	case "create":
		var id string
		require.NoError(t, json.Unmarshal(result, &id))
		require.NotEmpty(t, id)
		c.items[op.Key] = &crashItem{key: op.Key, worker: p.worker, id: id, names: []string{id}, paths: p.paths[op.Key], listed: yes}
	case "adopt":
		c.items[op.Key] = &crashItem{key: op.Key, worker: p.worker, id: op.Name, names: []string{op.Name}, adopted: true, listed: yes,
			paths: []string{"mark-0.txt", "doc-0.txt"}}
	case "rename":
		d.names = []string{op.Name}
		if op.Name == "" {
			d.names = []string{d.id}
		}
	case "cancel":
		d.cancelled = yes
		c.stopped = append(c.stopped, d.id)
		c.ending = append(c.ending, d)
	case "remove":
		c.gone(d)
	case "read":
		d.ended = true
		_, content := readResult(t, result)
		require.Equal(t, c.archiveOf(t, d.paths), content, "wrong content in %s, an archive of %v", d.id, d.paths)
		c.checked++
	case "part":
		c.checkPart(t, d, result)
	}
}

// readResult returns the MD5 sum of an archive that was read, and the digest of
// what it holds.
func readResult(t testing.TB, result json.RawMessage) (sum, content string) {
	t.Helper()
	var r [3]any
	require.NoError(t, json.Unmarshal(result, &r))
	return r[1].(string), r[2].(string)
}

// checkPart compares a piece of an archive with the server's bytes.
func (c *crashModel) checkPart(t testing.TB, d *crashItem, result json.RawMessage) {
	t.Helper()
	var r [2]any
	require.NoError(t, json.Unmarshal(result, &r))
	if c.last.id != d.id {
		code, body := c.server.Core(t, "GET", "/nodes/"+d.id+"/content", nil)
		require.Equal(t, http.StatusOK, code, "%.1000s", body)
		c.last.id, c.last.bytes = d.id, body
	}
	off := int(r[0].(float64))
	want := md5.Sum(c.last.bytes[off:min(off+100_000, len(c.last.bytes))])
	require.Equal(t, fmt.Sprintf("%x", want), r[1], "bytes of %s from %d on", d.id, off)
}

// gone forgets a download that is removed for good.
func (c *crashModel) gone(d *crashItem) {
	delete(c.items, d.key)
	c.removed = append(c.removed, d.id)
	c.ending = append(c.ending, d)
}

// cutOff takes in the operation during which the mount died.
func (c *crashModel) cutOff(p *crashPlan, op crashOp) {
	d := c.items[op.Key]
	switch op.Op {
	case "create":
		c.items[op.Key] = &crashItem{key: op.Key, worker: p.worker, paths: p.paths[op.Key], listed: perhaps}
	case "adopt":
		c.items[op.Key] = &crashItem{key: op.Key, worker: p.worker, id: op.Name, names: []string{op.Name}, adopted: true, listed: perhaps,
			paths: []string{"mark-0.txt", "doc-0.txt"}}
	case "rename":
		name := op.Name
		if name == "" {
			name = d.id
		}
		d.names = append(d.names, name)
	case "cancel":
		d.cancelled = perhaps
	case "remove":
		d.listed, d.removing = perhaps, true
	}
}

// surveyed is a download as the mount shows it.
type surveyed struct {
	At          string
	ID          string
	Name        string
	Status      string
	Error       string
	Nodes       []string
	CachedBytes int64
}

// verify compares the mount with the model and takes in what it shows of the
// operations that were cut off.
func (c *crashModel) verify(t testing.TB) {
	t.Helper()
	answers := c.drive(t, nil, crashOp{Op: "survey"})
	var found []surveyed
	require.NoError(t, json.Unmarshal(answers[0].Result, &found))
	seen := map[int]bool{}
	for _, s := range found {
		d := c.find(t, s)
		require.False(t, seen[d.key], "%s is listed twice", s.ID)
		seen[d.key] = true
		c.compare(t, d, s)
	}
	for key, d := range c.items {
		if seen[key] {
			continue
		}
		require.NotEqual(t, yes, d.listed, "lost: %+v", d)
		delete(c.items, key)
		switch {
		case d.id == "":
			c.lost++
		case d.removing:
			c.gone(d)
		}
	}
	c.clean(t)
	c.readAll(t)
}

// note remembers which downloads the server says that it has made; to be called
// before its log goes with it.
func (c *crashModel) note() {
	for _, r := range c.server.Log.Records("create") {
		if id := r.String("download"); !c.created[id] {
			c.madeBefore = append(c.madeBefore, id)
		}
	}
}

// clean finds the downloads that the server has made and nobody knows of, for
// their creation was cut off, and deletes them as the server's cleaner would: one
// that is zipped keeps a thread of the server's busy. There is no other download
// that is unknown here.
func (c *crashModel) clean(t testing.TB) {
	t.Helper()
	c.note()
	for _, d := range c.items {
		c.created[d.id] = true
	}
	for _, id := range c.removed {
		c.created[id] = true
	}
	for _, id := range c.madeBefore {
		if c.created[id] {
			continue
		}
		c.created[id] = true
		c.orphans++
		c.server.Core(t, "DELETE", "/downloads/"+id, nil)
		code, body := c.server.Core(t, "DELETE", "/nodes/"+id+"?permanent=true", nil)
		require.Equal(t, http.StatusNoContent, code, "%s", body)
	}
	c.madeBefore = nil
	require.LessOrEqual(t, c.orphans, c.lost, "the server has downloads that were made and forgotten here")
}

// find returns the item that an entry is of.
func (c *crashModel) find(t testing.TB, s surveyed) *crashItem {
	t.Helper()
	for _, d := range c.items {
		if d.id == s.ID {
			return d
		}
	}
	require.NotContains(t, c.removed, s.ID, "what was removed is back: %+v", s)
	for _, d := range c.items {
		if d.id == "" && strings.Join(s.Nodes, "\n")+"\n" == c.list(d.key, d.paths) {
			d.id, d.names = s.ID, []string{s.ID}
			c.survived++
			return d
		}
	}
	require.FailNow(t, "nobody asked for it", "%+v", s)
	return nil
}

// compare compares one entry with what is known of it.
func (c *crashModel) compare(t testing.TB, d *crashItem, s surveyed) {
	t.Helper()
	require.Contains(t, d.names, s.At, "name of %s", s.ID)
	require.Equal(t, s.At, s.Name, "name in status")
	if s.Status != "CANCELLED" && !c.troubled {
		require.Empty(t, s.Error, "%+v", s)
	}
	if !d.adopted {
		require.Equal(t, c.list(d.key, d.paths), strings.Join(s.Nodes, "\n")+"\n", "nodes of %s", s.ID)
	}
	d.names, d.listed, d.removing, d.status = []string{s.At}, yes, false, s.Status
	switch {
	case d.cancelled == yes:
		require.Equal(t, "CANCELLED", s.Status, "a cancel was forgotten: %+v", s)
	case d.cancelled == perhaps && s.Status == "CANCELLED":
		d.cancelled = yes
		c.stopped = append(c.stopped, d.id)
	case d.slow():
		require.Contains(t, []string{"PENDING", "IN_PROGRESS"}, s.Status, "%+v", s)
		d.cancelled = no
	case d.ended:
		require.Equal(t, "DONE", s.Status, "%+v", s)
	default:
		require.Contains(t, []string{"PENDING", "IN_PROGRESS", "DONE"}, s.Status, "%+v", s)
	}
}

// readAll reads every archive there must be, to the last byte.
func (c *crashModel) readAll(t testing.TB) {
	t.Helper()
	names := map[int]string{}
	var ops []crashOp
	for key, d := range c.items {
		names[key] = d.names[0]
		if d.cancelled == no && !d.slow() && (!d.doubtful || d.status == "DONE") {
			ops = append(ops, crashOp{Op: "read", Key: key})
		}
	}
	for i, a := range c.drive(t, names, ops...) {
		c.happened(t, nil, ops[i], a.Result)
		d := c.items[ops[i].Key]
		sum, _ := readResult(t, a.Result)
		require.Equal(t, c.sum(t, d.id), sum, "bytes of %s", d.id)
	}
}

// makeAdoptable makes downloads on the server that the mount does not know.
func (c *crashModel) makeAdoptable(t testing.TB, n int) {
	t.Helper()
	for len(c.adopts) < n {
		body, err := json.Marshal(map[string]any{"nodeIds": []string{c.nodes["mark-0.txt"], c.nodes["doc-0.txt"]}})
		require.NoError(t, err)
		code, answer := c.server.Core(t, "POST", "/downloads", body)
		require.Equal(t, http.StatusAccepted, code, "%s", answer)
		var made struct{ Entry struct{ ID string } }
		require.NoError(t, json.Unmarshal(answer, &made))
		c.adopts = append(c.adopts, made.Entry.ID)
		c.created[made.Entry.ID] = true
	}
}

// threadsAreFree waits until the server zips nothing any more that was cancelled
// or removed, so that the next downloads find a thread.
func (c *crashModel) threadsAreFree(t testing.TB) {
	t.Helper()
	for _, d := range c.ending {
		if d.slow() && !d.doubtful {
			harness.Eventually(t, 2*time.Minute, func() bool {
				return !slices.Contains([]string{"PENDING", "IN_PROGRESS"}, c.server.Status(t, d.id))
			}, "the server was not told: %+v", d)
		}
	}
	c.ending = nil
}

// serverFollows waits until the server has done what was acknowledged here.
func (c *crashModel) serverFollows(t testing.TB) {
	t.Helper()
	for _, id := range c.removed {
		harness.Eventually(t, 2*time.Minute, func() bool { return c.server.Status(t, id) == "" }, "removed, but still on the server: %s", id)
	}
	for _, id := range c.stopped {
		if c.troubled {
			break // a server that is started again forgets that it was to stop
		}
		harness.Eventually(t, 2*time.Minute, func() bool {
			return slices.Contains([]string{"CANCELLED", ""}, c.server.Status(t, id))
		}, "cancelled, but not on the server: %s", id)
	}
	assert.NotZero(t, c.checked)
}
