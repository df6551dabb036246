package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// siteTree is a site of some 6 MB in which there is all that makes a difference when it
// is got in parts.
func siteTree(t testing.TB) string {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{
		"Site/Überblick 2026 – Q3.txt":       "Grüße\n",
		"Site/film.mkv":                      harness.Noise(99, 1_700_000),
		"Site/empty.txt":                     "",
		"Site/nothing/":                      "",
		"Site/deep/er/and/deeper/note.txt":   "found\n",
		"Site/新製品/カタログ.txt":                  "春の新製品のご案内\n",
		"Other/Site/Überblick 2026 – Q3.txt": "another one of that name\n",
	}
	for _, folder := range []string{"papers", "papers/old", "photos"} {
		for i := range 6 {
			files[fmt.Sprintf("Site/%s/number %d.bin", folder, i)] = harness.Noise(uint64(len(folder)*10+i), 200_000)
			files[fmt.Sprintf("Site/%s/Number %d.txt", folder, i)] = strings.Repeat(fmt.Sprintln("line of", folder, i), 3000)
		}
	}
	harness.Tree(t, dir, files)
	return dir
}

// siteLimit is what the servers of these tests zip at most.
const siteLimit = "1M"

// oneZip is the zip of those paths that a server without a limit makes of the folder.
func oneZip(t testing.TB, dir string, paths ...string) archive {
	t.Helper()
	s := harness.StartServer(t, dir, "--max-content-size", "1T")
	defer s.Stop(t)
	ids := make([]string, len(paths))
	for i, p := range paths {
		ids[i] = s.NodeID(t, p)
	}
	body, err := json.Marshal(map[string][]string{"nodeIds": ids})
	require.NoError(t, err)
	code, answer := s.Core(t, "POST", "/downloads", body)
	require.Equal(t, http.StatusAccepted, code, "%s", answer)
	var made struct{ Entry struct{ ID string } }
	require.NoError(t, json.Unmarshal(answer, &made))
	harness.Eventually(t, harness.Timeout, func() bool { return s.Status(t, made.Entry.ID) == "DONE" }, "it is not zipped")
	return fetch(t, s, made.Entry.ID)
}

// ledger is a proxy that writes down which zips were asked for and deleted.
type ledger struct {
	url string

	mu      sync.Mutex // guards all below
	order   []string
	nodes   map[string]string // by the download's id
	done    map[string]bool   // what the server has said so of
	deleted map[string]bool
	peak    int // zips that were there at once, without the first
	twice   []string
}

func newLedger(t testing.TB, server *harness.Server) *ledger {
	t.Helper()
	l := &ledger{nodes: make(map[string]string), done: make(map[string]bool), deleted: make(map[string]bool)}
	to, err := url.Parse(server.URL)
	require.NoError(t, err)
	p := httputil.NewSingleHostReverseProxy(to)
	p.ErrorLog = nil
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }
	p.ModifyResponse = l.note
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/downloads") {
			b, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
			r.Header.Set("X-Asked", string(b))
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	l.url = front.URL
	return l
}

func (l *ledger) note(resp *http.Response) error {
	r := resp.Request
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.Header.Get("X-Asked") != "" && resp.StatusCode == http.StatusAccepted:
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(b))
		var made struct{ Entry struct{ ID string } }
		if err := json.Unmarshal(b, &made); err != nil {
			return err
		}
		asked := r.Header.Get("X-Asked")
		for id, nodes := range l.nodes {
			if nodes == asked && l.done[id] && l.deleted[id] {
				l.twice = append(l.twice, id)
			}
		}
		l.order = append(l.order, made.Entry.ID)
		l.nodes[made.Entry.ID] = asked
		l.peak = max(l.peak, len(l.nodes)-len(l.deleted)-1)
	case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/downloads/") && resp.StatusCode == http.StatusOK:
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(b))
		if bytes.Contains(b, []byte(`"DONE"`)) {
			l.done[filepath.Base(r.URL.Path)] = true
		}
	case r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/nodes/") && resp.StatusCode == http.StatusNoContent:
		l.deleted[filepath.Base(r.URL.Path)] = true
	}
	return nil
}

// forget forgets what was deleted: from now on it may be asked for again.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.deleted {
		delete(l.nodes, id)
	}
	l.order = slices.DeleteFunc(l.order, func(id string) bool { return l.deleted[id] })
	clear(l.deleted)
}

// zips are all that were asked for, in order, and those that were asked for again though
// they were finished and deleted. most is how many were there at once.
func (l *ledger) zips() (order, twice []string, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.order), slices.Clone(l.twice), l.peak
}

// left are the zips that the server still has.
func (l *ledger) left() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.order {
		if !l.deleted[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// wholeOf reads a download's archive through the mount and compares it with one zip.
func wholeOf(t testing.TB, m *harness.Mount, id string, one archive) archive {
	t.Helper()
	dir := harness.Dir(t, m.User)
	harness.Cmd{User: m.User, Name: "cp", Args: []string{m.Downloads + "/" + id + "/archive.zip", dir + "/got"}}.Run(t).OK(t)
	b, err := os.ReadFile(dir + "/got")
	require.NoError(t, err)
	a := archive{b, zipEntries(t, b)}
	require.Equal(t, one.entries, a.entries)
	return a
}

// awaitParts waits until some parts of a download are done, and not all. It returns its
// status then.
func awaitParts(t testing.TB, m *harness.Mount, id string) (status string) {
	t.Helper()
	done := regexp.MustCompile(`(?m)^partsDone: [1-9]`)
	harness.Eventually(t, harness.Timeout, func() bool {
		status = m.Sh(t, "cat "+id+"/status").Out(t)
		return done.MatchString(status)
	}, "no part is done")
	require.Contains(t, status, "status: IN_PROGRESS\n")
	return status
}

// TestAnySize: what is several times as large as the server zips is one archive.zip
// that every tool reads, with the entries of the one zip that a server without a limit
// makes. The server never holds more than two parts, and none in the end; the bytes are
// the same after a remount; removing it leaves nothing.
// Proves S-163, S-166.
func TestAnySize(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	one := oneZip(t, dir, "Site")
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, dir, "--max-content-size", siteLimit, "--archive-rate", "1M")
		l := newLedger(t, s)
		m := harness.StartMount(t, s, harness.MountOptions{User: u, URL: l.url})
		id := m.Create(t, s.NodeID(t, "Site"))
		early := m.Cmd("exec md5sum < " + id + "/archive.zip").Start(t)
		early.Blocked(t)
		_, size := one.files()
		assert.Contains(t, awaitParts(t, m, id), fmt.Sprintf("totalBytes: %d\n", size))

		a := wholeOf(t, m, id, one)
		assert.Equal(t, a.md5()+"  -", early.Wait().Out(t))
		assert.Equal(t, m.Status(t, id, "parts"), m.Status(t, id, "partsDone"))
		assert.Equal(t, m.Status(t, id, "totalFiles"), m.Status(t, id, "filesAdded"))
		assert.Equal(t, "Site.zip", m.Status(t, id, "archiveName"))
		harness.Eventually(t, harness.Timeout, func() bool { return len(l.left()) == 1 }, "parts are left on the server: %v", l.left())
		assert.Equal(t, []string{id}, l.left())
		_, twice, most := l.zips()
		assert.LessOrEqual(t, most, 2)
		assert.Empty(t, twice)

		exe := self(t)
		for _, tl := range tools {
			if tl.name == "mv" { // comes last
				continue
			}
			t.Run(tl.name, func(t *testing.T) { tl.runOn(t, m, id, exe, a) })
		}
		piped := harness.Cmd{User: u, Dir: harness.Dir(t, u), Name: "sh",
			Args: []string{"-c", "cat " + m.Downloads + "/" + id + "/archive.zip | busybox unzip -q -; cat " + m.Downloads + "/" + id + "/archive.zip | bsdtar -xf -"}}
		piped.Run(t).OK(t)
		a.assertUnpacked(t, piped.Dir)
		assert.Equal(t, "found", m.Sh(t, "cat "+id+"/contents/Site/deep/er/and/deeper/note.txt").Out(t))
		m.Sh(t, "zip -qT "+id+"/archive.zip").OK(t)

		m.Unmount(t)
		m.Remount(t)
		assert.Equal(t, a.md5()+"  -", m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t))
		assert.Equal(t, []string{id}, l.left())

		m.Sh(t, "rm -r "+id).OK(t)
		harness.Eventually(t, harness.Timeout, func() bool { return len(l.left()) == 0 }, "the server still has %v", l.left())
		assert.Empty(t, m.List(t))
		cached, err := filepath.Glob(m.CacheDir + "/*/archives/*")
		require.NoError(t, err)
		assert.Empty(t, cached)

		id = m.Create(t, s.NodeID(t, "Site"))
		m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
		mv := tools[slices.IndexFunc(tools, func(tl tool) bool { return tl.name == "mv" })]
		mv.runOn(t, m, id, exe, wholeOf(t, m, id, one))
		assert.Equal(t, "EXPIRED", m.Status(t, id, "status"))
	})
}

// runOn uses the tool on a download that is done.
func (tl tool) runOn(t *testing.T, m *harness.Mount, id, exe string, a archive) {
	t.Helper()
	dir := harness.Dir(t, m.User)
	entry := filepath.Join(m.Downloads, id)
	c := harness.Cmd{User: m.User, Dir: dir, Name: "sh",
		Args: []string{"-c", `d=$1 f=$1/archive.zip; ` + tl.script, "sh", entry}}
	if tl.script == "" {
		c.Name, c.Args, c.Env = exe, nil, []string{envGoZip + "=" + entry + "/archive.zip"}
	}
	r := c.Run(t).OK(t)
	assert.Empty(t, r.Stderr)
	tl.check(t, a, toolRun{dir, r.Stdout})
}

// TestAnySizeOfSeveral: several nodes, some of one name, are one zip in their order.
// Proves S-163.
func TestAnySizeOfSeveral(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	paths := []string{"Site/papers", "Other/Site/Überblick 2026 – Q3.txt", "Site/film.mkv", "Site/Überblick 2026 – Q3.txt", "Site", "Other/Site"}
	one := oneZip(t, dir, paths...)
	s := harness.StartServer(t, dir, "--max-content-size", siteLimit)
	m := harness.StartMount(t, s, harness.MountOptions{})
	id := m.Create(t, "/"+strings.Join(paths, "\n/"))
	wholeOf(t, m, id, one)
	assert.Equal(t, "archive.zip", m.Status(t, id, "archiveName"))
}

// TestAnySizeCancelled: rm -r in the middle ends the waits and leaves nothing on the
// server; rm of the archive keeps the entry.
// Proves S-170.
func TestAnySizeCancelled(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, siteTree(t), "--max-content-size", siteLimit, "--archive-rate", "1M")
	l := newLedger(t, s)
	m := harness.StartMount(t, s, harness.MountOptions{URL: l.url})
	for _, end := range []string{"rm -r ID", "rm ID/archive.zip"} {
		id := m.Create(t, s.NodeID(t, "Site"))
		reader := m.Cmd("exec md5sum < " + id + "/archive.zip").Start(t)
		awaitParts(t, m, id)
		m.Sh(t, strings.ReplaceAll(end, "ID", id)).OK(t)
		r := reader.Wait()
		assert.NotZero(t, r.Code)
		assert.Contains(t, r.Stderr, "canceled")
		if strings.Contains(end, "archive.zip") {
			assert.Equal(t, "CANCELLED", m.Status(t, id, "status"))
			harness.Eventually(t, harness.Timeout, func() bool { return slices.Equal(l.left(), []string{id}) }, "left: %v", l.left())
			m.Sh(t, "rm -r "+id).OK(t)
		}
		harness.Eventually(t, 2*harness.Timeout, func() bool { return len(l.left()) == 0 }, "left: %v", l.left())
	}
}

// TestAnySizeNeedsRoom: a cache that is too small is told before anything is asked
// for, with the size that would do.
// Proves S-171.
func TestAnySizeNeedsRoom(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	s := harness.StartServer(t, dir, "--max-content-size", siteLimit)
	state, cache := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
	options := harness.MountOptions{StateDir: state, CacheDir: cache, Flags: []string{"--cache-size", "5M"}}
	m := harness.StartMount(t, s, options)
	id := m.Create(t, s.NodeID(t, "Site"))
	r := m.Sh(t, "cat "+id+"/archive.zip")
	assert.NotZero(t, r.Code)
	assert.Contains(t, r.Stderr, "File too large")
	sentence := m.Status(t, id, "error")
	assert.Contains(t, sentence, "mount with --cache-size ")
	_, advice, _ := strings.Cut(sentence, "--cache-size ")
	assert.EqualValues(t, 1, s.Stats(t)["create"])
	m.Unmount(t)

	options.Flags = []string{"--cache-size", advice}
	m = harness.StartMount(t, s, options)
	wholeOf(t, m, id, oneZip(t, dir, "Site"))
}

// TestSplitSize: with --split-size the server zips no more than that at once; a zip
// that it began is cancelled.
// Proves S-173.
func TestSplitSize(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	s := harness.StartServer(t, dir, "--archive-rate", "2M")
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--split-size", siteLimit}})
	id := m.Create(t, s.NodeID(t, "Site"))
	wholeOf(t, m, id, oneZip(t, dir, "Site"))
	assert.NotEmpty(t, m.Status(t, id, "parts"))
	assert.Equal(t, "CANCELLED", s.Status(t, id))
}

// TestAnySizeFileNoZipCanHold: a file in a folder on which the server's zip would end
// without a word comes as it is, though the server would take the whole.
// Proves S-164.
func TestAnySizeFileNoZipCanHold(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	s := harness.StartServer(t, dir, "--max-zip-entry", siteLimit, "--archive-rate", "2M")
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--max-zip-entry", "1048575"}})
	id := m.Create(t, s.NodeID(t, "Site"))
	wholeOf(t, m, id, oneZip(t, dir, "Site"))
	assert.NotEmpty(t, m.Status(t, id, "parts"))
}

// TestAnySizeFaults: trouble in the middle of a download that is got in parts costs time
// only.
// Proves S-168.
func TestAnySizeFaults(t *testing.T) {
	t.Parallel()
	dir := siteTree(t)
	one := oneZip(t, dir, "Site")
	uncertain := map[string]bool{"connections reset": true, "black hole": true, "unreachable": true, "answers to creations lost": true,
		"server killed and started again": true}
	tests := make(map[string]func(*testing.T))
	for name, start := range map[string]func(t *testing.T, r *faultRig) (lift func()){
		"500 for 2 s": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Any, Fault: faults.Status(500)}).Remove
		},
		"404 to one poll": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Get, Times: 1, Fault: faults.Status(404)}).Remove
		},
		"ticket expired": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Any, Times: 1, Fault: faults.Unauthorized()}).Remove
		},
		"connections reset": func(_ *testing.T, r *faultRig) func() { return r.net.Add(faults.ResetPeer()) },
		"black hole":        func(_ *testing.T, r *faultRig) func() { return r.net.Add(faults.Blackhole(0)) },
		"unreachable": func(_ *testing.T, r *faultRig) func() {
			r.net.Cut()
			return r.net.Restore
		},
		"answers to creations lost": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Create, Times: 2, Fault: faults.DropAfter()}).Remove
		},
		"bodies break off": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Content, Times: 3, Fault: faults.Truncate(70_000)}).Remove
		},
		"no part can be deleted": func(_ *testing.T, r *faultRig) func() {
			return r.http.Inject(faults.Rule{On: faults.Delete, Times: 3, Fault: faults.Status(503)}).Remove
		},
		"server killed and started again": func(t *testing.T, r *faultRig) func() {
			r.server.Kill(t)
			return func() { r.server.Restart(t) }
		},
	} {
		tests[name] = func(t *testing.T) {
			s := harness.StartServer(t, dir, "--max-content-size", siteLimit, "--archive-rate", "2M", "--data-dir", harness.Dir(t, harness.User{}))
			r := newFaultRig(t, s)
			l := newLedger(t, s)
			r.http.SetUpstream(l.url)
			r.mounted(t, "--retry-timeout", harness.Scaled(20*time.Second).String(), "--stall-timeout", harness.Scaled(3*time.Second).String())
			id := r.mount.Create(t, s.NodeID(t, "Site"))
			awaitParts(t, r.mount, id)
			lift := start(t, r)
			time.Sleep(2 * time.Second) // how long the trouble lasts
			lift()
			var a archive
			harness.Eventually(t, 4*harness.Timeout, func() bool { return r.mount.Status(t, id, "status") == "DONE" },
				"it does not go on: %s", r.mount.Sh(t, "cat "+id+"/status").Stdout)
			a = wholeOf(t, r.mount, id, one)
			assert.NotEmpty(t, a.bytes)
			_, twice, _ := l.zips()
			assert.Empty(t, twice, "asked for again though they were finished")
			r.mount.Sh(t, "rm -r "+id).OK(t)
			orphans := 0
			if uncertain[name] {
				orphans = 3 // of which nobody here ever knew
			}
			harness.Eventually(t, 2*harness.Timeout, func() bool { return len(l.left()) <= orphans }, "left: %v", l.left())
		}
	}
	for i, name := range slices.Sorted(maps.Keys(tests)) {
		if !harness.InShare(t, i, name) {
			delete(tests, name)
		}
	}
	sideBySide(t, 5, tests)
}

// TestAnySizeCrashes kills the mount at random moments of a download that is got in
// parts: what was finished is not asked for again, the bytes are right, and no part is
// left on the server but what a kill kept the mount from knowing.
// Proves S-167.
func TestAnySizeCrashes(t *testing.T) {
	t.Parallel()
	kills := envNumber(t, envCrashLoops, 8)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := siteTree(t)
	one := oneZip(t, dir, "Site")
	s := harness.StartServer(t, dir, "--max-content-size", siteLimit, "--archive-rate", "6M")
	l := newLedger(t, s)
	m := harness.StartMount(t, s, harness.MountOptions{URL: l.url, LogLevel: "info"})
	done, zips := 0, 0
	var id string
	for range kills {
		if id == "" {
			id = m.Create(t, s.NodeID(t, "Site"))
		}
		time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
		m.Kill9(t)
		m.Remount(t)
		if m.Status(t, id, "status") == "DONE" {
			wholeOf(t, m, id, one)
			m.Sh(t, "rm -r "+id).OK(t)
			// What nobody knows of stays there; the others must be gone before they are
			// asked for by the next download.
			for until := time.Now().Add(harness.Scaled(5 * time.Second)); len(l.left()) > 0 && time.Now().Before(until); {
				time.Sleep(20 * time.Millisecond)
			}
			order, _, _ := l.zips()
			zips += len(order)
			l.forget()
			id, done = "", done+1
		}
	}
	if id != "" {
		m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
		wholeOf(t, m, id, one)
		m.Sh(t, "rm -r "+id).OK(t)
		done++
	}
	harness.Eventually(t, 2*harness.Timeout, func() bool { return len(l.left()) <= kills/5+1 }, "left on the server: %v", l.left())
	order, twice, _ := l.zips()
	t.Logf("%d downloads, %d kills, %d zips asked for, %d left on the server", done, kills, zips+len(order), len(l.left()))
	assert.Empty(t, twice)
}

// envAnySize asks for TestAnySizeOfEverything.
const envAnySize = "DOWNLOADFS_ANY_SIZE"

// TestAnySizeOfEverything is too large for every day: an archive of 70,000 files in
// 1,000 folders, of more than 4 GiB in all, with a file of more than 4 GiB, through a
// mount, read by tools. Those that know no file of that size read another one, with
// the same 70,000 files beyond 4 GiB. Busybox reads it from a pipe only: it does not know
// the Zip64 records of a directory. The parts of it that are cheap are tested every
// day: zipfile.TestToolsBeyond4GiB and zipfile.TestToolsReadManyEntries.
// Proves S-165.
func TestAnySizeOfEverything(t *testing.T) {
	if os.Getenv(envAnySize) == "" {
		t.Skip("takes minutes and 20 GB of disk, run by: make test-any-size")
	}
	const folders, each, huge = 1000, 70, 4<<30 + 12345
	dir := harness.Dir(t, harness.User{})
	for i := range folders {
		folder := fmt.Sprintf("%s/Site/all/%04d", dir, i)
		require.NoError(t, os.MkdirAll(folder, 0o755))
		for j := range each {
			require.NoError(t, os.WriteFile(fmt.Sprintf("%s/%d.txt", folder, j), fmt.Appendf(nil, "%d of %d", j, i), 0o644))
		}
	}
	for name, size := range map[string]int64{"Site/disk.img": huge, "Site/zz/last.bin": 1 << 20, "Site/all/half.img": 1 << 30,
		"Wide/1.img": 1600 << 20, "Wide/2.img": 1600 << 20, "Wide/3.img": 1600 << 20} {
		path := dir + "/" + name
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		require.NoError(t, os.Truncate(path, size)) // a hole
	}
	s := harness.StartServer(t, dir, "--max-content-size", "1500M")
	l := newLedger(t, s)
	m := harness.StartMount(t, s, harness.MountOptions{URL: l.url, Flags: []string{"--cache-size", "30G"}})
	exe := self(t)
	for _, a := range []struct {
		nodes string
		tools [][3]string // name, script, and what it says
	}{
		{"/Site", [][3]string{
			{"unzip -t", `unzip -tq "$f"`, "No errors detected"},
			{"7z t", `7z t "$f"`, "Everything is Ok"},
			{"Python", `python3 -c 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); print(z.testzip(), len(z.namelist()))' "$f"`, "None 71006"},
			{"Go", `"$exe" | grep -v '/$' | sort -k2 >got; cd "$d" && find Site -type f -print0 | xargs -0 sha256sum | sort -k2 | cmp - "$OLDPWD/got" && echo same`, "same"},
			{"bsdtar", `mkdir out; bsdtar -xf "$f" -C out; diff -r out/Site "$d/Site" && rm -r out && echo same`, "same"},
			{"bsdtar from a pipe", `cat "$f" | bsdtar -tf - | wc -l`, "71006"},
			{"contents", `cmp "$(dirname "$f")/contents/Site/zz/last.bin" "$d/Site/zz/last.bin" && find -L "$(dirname "$f")/contents/" -type f | wc -l`, "70003"},
		}},
		{"/Wide\n/Site/all\n/Site/zz", [][3]string{
			{"busybox from a pipe", `n=$(cat "$f" | busybox unzip -p - | wc -c); find "$d/Wide" "$d/Site/all" "$d/Site/zz" -type f -printf "%s\n" |
				awk -v n=$n '{s += $1} END {print s == n ? "same" : s " and " n}'`, "same"},
			{"Go", `"$exe" | grep -vc '/$'`, "70005"},
		}},
	} {
		id := m.Create(t, a.nodes)
		m.AwaitStatus(t, 10*time.Minute, id, "status", "DONE")
		zip := m.Downloads + "/" + id + "/archive.zip"
		for _, c := range a.tools {
			r := harness.Cmd{Dir: harness.Dir(t, harness.User{}), Name: "sh", Args: []string{"-ec", c[1]},
				Env: []string{"f=" + zip, "d=" + dir, "exe=" + exe, envGoZip + "=" + zip}, Timeout: 10 * time.Minute}.Run(t).OK(t)
			assert.Contains(t, strings.Join(strings.Fields(r.Stdout), " "), c[2], c[0])
			t.Logf("%s: %s", c[0], r.Duration.Round(time.Second))
		}
		m.Sh(t, "rm -r "+id).OK(t)
		harness.Eventually(t, harness.Timeout, func() bool { return len(l.left()) == 0 }, "the server still has %v", l.left())
	}
	_, _, most := l.zips()
	assert.LessOrEqual(t, most, 2)
}
