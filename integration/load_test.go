package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// envLoad says how many downloads TestLoad lists; 10000 is what the mount is
// meant for.
const envLoad = "DOWNLOADFS_LOAD"

const (
	loadWriters = 50
	loadReaders = 2000
	loadWorkers = 25 // processes that the readers are in
	// loadPatience is how long one step may take on a machine that is busy.
	loadPatience = 10 * time.Minute
)

// loadWrite writes argv[2] lists asking for argv[3], from argv[4] processes at
// once, and tells how long the slowest took. Each names another version, which
// servers ignore: the same list again from the same process would ask for nothing.
const loadWrite = `
import os, sys, time
base, lists, node, writers = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
r, w = os.pipe()
for i in range(writers):
    if os.fork() == 0:
        worst = 0
        for n in range(i, lists, writers):
            began = time.monotonic()
            fd = os.open(base + "/new", os.O_WRONLY)
            os.write(fd, b"%s;1.%d\n" % (node.encode(), n))
            os.close(fd)
            worst = max(worst, time.monotonic() - began)
        os.write(w, b"%f\n" % worst)
        os._exit(0)
os.close(w)
codes = [os.wait()[1] for i in range(writers)]
assert not any(codes), codes
print(max(float(x) for x in open(r).read().split()))
`

// loadRemove removes the directories whose names it reads, from argv[2] processes.
const loadRemove = `
import os, sys
base, workers = sys.argv[1], int(sys.argv[2])
names = sys.stdin.read().split()
for i in range(workers):
    if os.fork() == 0:
        for name in names[i::workers]:
            os.rmdir(base + "/" + name)
        os._exit(0)
codes = [os.wait()[1] for i in range(workers)]
assert not any(codes), codes
`

// loadRead opens the archives whose names it reads, each in argv[2] threads of one of
// argv[3] processes, and counts what that ended with. In one process, user-mode Linux
// would take the longer for a thread the more there are.
const loadRead = `
import collections, errno, json, os, sys, threading
base, each, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
names = sys.stdin.read().split()
def work(names, result):
    count, lock = collections.Counter(), threading.Lock()
    def reader(name):
        try:
            os.close(os.open(base + "/" + name + "/archive.zip", os.O_RDONLY))
            what = "opened"
        except OSError as e:
            what = errno.errorcode[e.errno]
        with lock:
            count[what] += 1
    threading.stack_size(128 << 10)
    threads = [threading.Thread(target=reader, args=(name,)) for name in names for i in range(each)]
    for t in threads: t.start()
    os.write(result, b"started\n")
    for t in threads: t.join()
    os.write(result, json.dumps(count).encode() + b"\n")
r, w = os.pipe()
for i in range(workers):
    if os.fork() == 0:
        os.close(r)
        work(names[i::workers], w)
        os._exit(0)
os.close(w)
count, started = collections.Counter(), 0
for line in open(r):
    if line != "started\n":
        count.update(json.loads(line))
        continue
    started += 1
    if started == workers:
        print("started", flush=True)
print(json.dumps(count))
`

// loadProbe measures, for argv[2] seconds, how long looking around takes: the
// worst of each kind, in milliseconds.
const loadProbe = `
import json, os, random, sys, time
base, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
worst, rounds = {}, 0
def timed(what, f, *args):
    began = time.monotonic()
    result = f(*args)
    worst[what] = max(worst.get(what, 0), round(1000 * (time.monotonic() - began), 1))
    return result
def read(path):
    with open(path) as f:
        return f.read()
while rounds < 3 or time.monotonic() < end:
    names = [n for n in timed("ls", os.listdir, base) if n != "new"]
    for i in range(20):
        at = base + "/" + random.choice(names)
        timed("stat status", os.stat, at + "/status")
        timed("cat status", read, at + "/status")
        timed("stat new", os.stat, base + "/new")
    rounds += 1
worst["rounds"], worst["listed"] = rounds, len(names)
print(json.dumps(worst))
`

// loadTool is one of the programs above, to be run on a mount.
func loadTool(m *harness.Mount, program, stdin string, args ...any) harness.Cmd {
	words := []string{"-c", program, m.Downloads}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	return harness.Cmd{User: m.User, Name: "python3", Args: words, Stdin: strings.NewReader(stdin), Timeout: loadPatience}
}

// probed are the worst latencies that loadProbe saw.
type probed map[string]float64

func probe(t testing.TB, m *harness.Mount, while string, listed int) {
	t.Helper()
	var p probed
	require.NoError(t, json.Unmarshal([]byte(loadTool(m, loadProbe, "", 3).Run(t).Out(t)), &p))
	t.Logf("%s: worst ls %.0f ms, stat status %.0f ms, cat status %.0f ms (%.0f rounds, %.0f listed)",
		while, p["ls"], p["stat status"], p["cat status"], p["rounds"], p["listed"])
	if listed > 0 {
		assert.EqualValues(t, listed, p["listed"])
	}
	// The promise for ls is half a second; these bounds tell a busy machine from
	// a call that waits for something.
	for what, ms := range p {
		if what != "rounds" && what != "listed" {
			assert.Less(t, ms, harness.Scaled(5*time.Second).Seconds()*1000, "%s: %s", while, what)
		}
	}
}

// loadUse is what a mount uses.
type loadUse struct {
	harness.Dump
	resident int64
	threads  int
}

func usedBy(t testing.TB, m *harness.Mount) loadUse {
	t.Helper()
	u := loadUse{Dump: m.Dump(t)}
	u.Stacks = ""
	u.resident, _ = m.Resident(t)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", m.Pid()))
	require.NoError(t, err)
	u.threads = len(tasks)
	return u
}

func (u loadUse) String() string {
	return fmt.Sprintf("%d goroutines, %d threads, %d descriptors, heap %.1f MB, resident %.1f MB",
		u.Goroutines, u.threads, u.Descriptors, float64(u.HeapBytes)/1e6, float64(u.resident)/1e6)
}

// block starts loadReaders readers of pending archives and waits until all of
// them are blocked.
func block(t testing.TB, m *harness.Mount, pending []string) *harness.Process {
	t.Helper()
	began := time.Now()
	p := loadTool(m, loadRead, strings.Join(pending, "\n"), loadReaders/len(pending), loadWorkers).Start(t)
	harness.Eventually(t, loadPatience, func() bool {
		if !p.Running() {
			require.FailNow(t, "readers did not block", "%s", p.Wait())
		}
		// To count so many threads takes long.
		return strings.Contains(p.Output(), "started") && p.BlockedThreads() >= loadReaders
	}, "not all readers block")
	t.Logf("%d readers blocked after %v", loadReaders, time.Since(began).Round(time.Millisecond))
	return p
}

// released waits for blocked readers and checks what all of them got.
func released(t testing.TB, p *harness.Process, since time.Time, errno string) {
	t.Helper()
	_, counts, _ := strings.Cut(p.Wait().Out(t), "started\n")
	t.Logf("%d readers released after %v: %s", loadReaders, time.Since(since).Round(time.Millisecond), counts)
	assert.JSONEq(t, fmt.Sprintf(`{%q: %d}`, errno, loadReaders), counts)
}

// TestLoad: thousands of downloads, readers that wait by the thousand, and many
// writers at once disturb nobody who browses, and cost nothing when they
// are gone.
// Proves S-89.
func TestLoad(t *testing.T) {
	total := envNumber(t, envLoad, 500)
	running := min(total/4, 1000) // so many stay pending
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{"quick.txt": "done at once\n"}
	for i := range 2000 {
		files[fmt.Sprintf("slow/%04d.txt", i)] = harness.Noise(uint64(i), 1000)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir, "--archive-rate", "1000", "--log-level", "warn")
	m := harness.StartMount(t, s, harness.MountOptions{LogLevel: "info", Allow: []string{`cannot unmount yet`}})
	quick, slow := s.NodeID(t, "quick.txt"), s.NodeID(t, "slow")

	m.Sh(t, "echo "+quick+" > new && md5sum */archive.zip && ls -lR > /dev/null && rm -r */").OK(t)
	before := usedBy(t, m)
	t.Logf("at the start: %v", before)

	began := time.Now()
	// The server zips few at once: what is done quickly comes first.
	writers := loadTool(m, loadWrite, "", total-running, quick, loadWriters).Start(t)
	harness.Eventually(t, loadPatience, func() bool { return len(m.List(t)) > 0 }, "nothing is made")
	probe(t, m, fmt.Sprintf("while %d write", loadWriters), 0)
	worst := writers.Wait().Out(t)
	worst += " and " + loadTool(m, loadWrite, "", running, slow, loadWriters).Run(t).Out(t)
	t.Logf("%d writers made %d downloads in %v; the slowest lists took %s s", loadWriters, total, time.Since(began).Round(time.Millisecond), worst)
	require.Len(t, m.List(t), total)
	pending := askingFor(t, m, slow)
	require.Len(t, pending, running)
	t.Logf("with %d downloads: %v", total, usedBy(t, m))
	probe(t, m, "with all listed", total)

	readers := block(t, m, pending)
	u := usedBy(t, m)
	t.Logf("with %d readers blocked: %v", loadReaders, u)
	assert.Less(t, u.threads, 100, "threads: a blocked reader must not take one")
	if !harness.Race {
		assert.Less(t, u.resident, int64(250<<20), "resident memory")
	}
	probe(t, m, "with readers blocked", total)

	began = time.Now()
	m.Unmount(t)
	released(t, readers, began, "ENOTCONN")
	began = time.Now()
	m.Remount(t)
	t.Logf("mounted again, with %d downloads, after %v", total, time.Since(began).Round(time.Millisecond))
	probe(t, m, "after a remount", total)

	readers = block(t, m, pending)
	probe(t, m, "with readers blocked after a remount", total)
	began = time.Now()
	loadTool(m, loadRemove, strings.Join(pending, "\n"), loadWriters).Run(t).OK(t)
	released(t, readers, began, "ECANCELED")
	m.Kill9(t)
	began = time.Now()
	m.Remount(t)
	t.Logf("mounted after a kill, with %d downloads, after %v", total-running, time.Since(began).Round(time.Millisecond))
	rest := m.List(t)
	require.Len(t, rest, total-running)
	began = time.Now()
	loadTool(m, loadRemove, strings.Join(rest, "\n"), loadWriters).Run(t).OK(t)
	assert.Empty(t, m.List(t))
	t.Logf("%d removed in %v", len(rest), time.Since(began).Round(time.Millisecond))

	forgotten := func(id string) bool { return s.Status(t, id) == "" }
	for _, ids := range [][]string{pending, rest} {
		for _, id := range ids {
			harness.Eventually(t, loadPatience, func() bool { return forgotten(id) }, "still on the server: %s", id)
		}
	}
	t.Logf("the server has removed all after %v", time.Since(began).Round(time.Millisecond))
	var after loadUse
	harness.Eventually(t, time.Minute, func() bool {
		after = usedBy(t, m)
		return after.Goroutines <= before.Goroutines+8 && after.Descriptors <= before.Descriptors+8 && after.HeapBytes < before.HeapBytes+(24<<20)
	}, "something is left: %v at the start", before)
	t.Logf("at the end: %v", after)
}

// askingFor returns the names of the downloads that ask for a node.
func askingFor(t testing.TB, m *harness.Mount, node string) []string {
	t.Helper()
	c := m.Cmd("grep -l " + node + " */nodes")
	c.Timeout = loadPatience
	var names []string
	for _, path := range strings.Fields(c.Run(t).Out(t)) {
		names = append(names, filepath.Dir(path))
	}
	return names
}
