package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// envSoak says for how long TestSoak runs, such as 10m.
const envSoak = "DOWNLOADFS_SOAK"

// soak is everything at once: workers that make, read, rename, adopt, cancel and
// remove downloads, ordinary tools that read, and trouble of all kinds.
type soak struct {
	*crashModel
	rig     *faultRig
	library []*crashItem // downloads that are whole in the cache and only read
	out     string       // where tools unpack to
	rounds  map[string]int
	errors  map[string]int // what workers met, by operation and errno
	tools   int            // tools that were run
}

// soakWorkers make room for one more slow zip each than crashModel.plan keeps.
const soakWorkers = 3

// trouble is something that goes wrong while all work. It returns when it is
// over. Only one that is remounting may disturb who reads from the cache.
type trouble struct {
	remounts bool // the mount is away for a while
	restarts bool // the server is started again
	begin    func(t *testing.T, k *soak)
}

// a while, in which work goes on.
func (k *soak) pause(most time.Duration) { time.Sleep(time.Duration(k.random.Int64N(int64(most)))) }

// toxic is trouble with the network.
func toxic(x faults.Toxic) trouble {
	return trouble{begin: func(_ *testing.T, k *soak) {
		remove := k.rig.net.Add(x)
		k.pause(4 * time.Second)
		remove()
	}}
}

// fault is trouble with the server's answers.
func fault(on faults.Kind, f faults.Fault) trouble {
	return trouble{begin: func(_ *testing.T, k *soak) {
		rule := k.rig.http.Inject(faults.Rule{On: on, Fault: f})
		k.pause(4 * time.Second)
		rule.Remove()
	}}
}

// restart is trouble with the server itself.
func restart(end func(*harness.Server, testing.TB)) trouble {
	return trouble{restarts: true, begin: func(t *testing.T, k *soak) {
		end(k.server, t)
		k.note()
		k.pause(3 * time.Second)
		k.server.Restart(t)
	}}
}

var troubles = map[string]trouble{
	"none": {begin: func(*testing.T, *soak) {}},
	"kill -9": {remounts: true, begin: func(t *testing.T, k *soak) {
		k.mount.Kill9(t)
		checkDatabases(t, k.mount)
		k.mount.Remount(t)
	}},
	"kill -9 twice": {remounts: true, begin: func(t *testing.T, k *soak) {
		for range 2 {
			k.mount.Kill9(t)
			k.mount.Remount(t)
			k.pause(500 * time.Millisecond)
		}
	}},
	"unmount": {remounts: true, begin: func(t *testing.T, k *soak) {
		k.mount.Unmount(t)
		k.mount.Remount(t)
	}},
	"server killed":  restart((*harness.Server).Kill),
	"server stopped": restart((*harness.Server).Stop),
	"server and mount killed": {remounts: true, restarts: true, begin: func(t *testing.T, k *soak) {
		k.server.Kill(t)
		k.mount.Kill9(t)
		k.note()
		k.server.Restart(t)
		k.mount.Remount(t)
	}},
	"network cut": {begin: func(_ *testing.T, k *soak) {
		k.rig.net.Cut()
		k.pause(4 * time.Second)
		k.rig.net.Restore()
	}},
	"latency": toxic(faults.Latency(40*time.Millisecond, 30*time.Millisecond)),
	"narrow":  toxic(faults.Bandwidth(300)),
	"reset":   toxic(faults.ResetPeer()),
	"silence": toxic(faults.Blackhole(0)),
	"slices":  toxic(faults.Slicer(1000, time.Millisecond)),
	"limit":   toxic(faults.LimitData(200_000)),
	"503":     fault(faults.Any, faults.Status(503)),
	"HTML":    fault(faults.Any, faults.HTML(502)),
	"tickets end": {begin: func(_ *testing.T, k *soak) {
		// One answer of 401 at a time: a login that is refused is another thing.
		for range 4 {
			rule := k.rig.http.Inject(faults.Rule{On: faults.Get, Times: 1, Fault: faults.Unauthorized()})
			select {
			case <-rule.First():
			case <-time.After(time.Second):
			}
			rule.Remove()
			k.pause(time.Second)
		}
	}},
	"content cut":      fault(faults.Content, faults.Truncate(100_000)),
	"wrong range":      fault(faults.Content, faults.ShiftRange(1)),
	"lost answers":     fault(faults.Create, faults.DropAfter()),
	"lost removals":    fault(faults.Delete, faults.DropAfter()),
	"removals refused": fault(faults.Cancel, faults.Status(500)),
}

// TestSoak runs everything at once for as long as the environment says; see
// "make soak".
// Proves S-90.
func TestSoak(t *testing.T) {
	text := os.Getenv(envSoak)
	if text == "" {
		t.Skipf("it takes minutes; run: make soak, or set %s", envSoak)
	}
	length, err := time.ParseDuration(text)
	require.NoError(t, err)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	server := harness.StartServer(t, crashTree(t), "--archive-rate", "3M", "--content-rate", "5M",
		"--data-dir", harness.Dir(t, harness.User{}))
	rig := newFaultRig(t, server)
	m := harness.StartMount(t, server, harness.MountOptions{
		URL: rig.net.URL(), LogLevel: "info", Allow: []string{`"level":"WARN"`},
		Flags: []string{"--retry-timeout", "10s", "--stall-timeout", "20s"},
	})
	k := &soak{crashModel: newCrashModel(t, server, m, seed), rig: rig, out: harness.Dir(t, m.User),
		rounds: map[string]int{}, errors: map[string]int{}}
	k.makeLibrary(t)
	before := usedBy(t, m)
	t.Logf("at the start: %v", before)

	names := slices.Sorted(maps.Keys(troubles))
	end, told := time.Now().Add(length), time.Now()
	for round := 0; time.Now().Before(end); round++ {
		if round%len(names) == 0 {
			k.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		k.round(t, names[round%len(names)])
		if t.Failed() {
			t.Fatalf("in round %d, %s", round+1, names[round%len(names)])
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Logf("%v left, %d archives compared, %d tools: %v", time.Until(end).Round(time.Second), k.checked, k.tools, usedBy(t, m))
		}
	}
	k.finish(t, before)
}

// makeLibrary makes the downloads that tools read all the time.
func (k *soak) makeLibrary(t *testing.T) {
	t.Helper()
	const librarian = soakWorkers
	p := k.newPlan(librarian)
	for range 3 {
		key := k.create(p, middle)
		p.do("read", key)
		p.do("fetch", key)
	}
	for i, a := range k.drive(t, nil, p.ops...) {
		k.happened(t, p, p.ops[i], a.Result)
	}
	k.library = k.mine(librarian, func(*crashItem) bool { return true })
}

// round lets all work for some seconds, with one kind of trouble in the middle,
// and then compares the mount with the model.
func (k *soak) round(t *testing.T, name string) {
	t.Helper()
	k.rounds[name]++
	k.troubled = true
	k.makeAdoptable(t, 20)
	focuses := slices.Sorted(maps.Keys(crashFocuses))
	var drivers []*crashProcess
	var plans []*crashPlan
	for w := range soakWorkers {
		p := k.plan(w, focuses[k.random.IntN(len(focuses))])
		crashFocuses[focuses[k.random.IntN(len(focuses))]](k.crashModel, p)
		plans = append(plans, p)
		drivers = append(drivers, startDriver(t, k.mount))
	}
	for w, p := range plans {
		drivers[w].order(t, p.names, p.ops, true)
	}
	tools := k.startTools(t)
	trouble := troubles[name]
	k.pause(time.Second)
	trouble.begin(t, k)

	for w, p := range plans {
		k.settleSoak(t, p, drivers[w].answers(t), name)
	}
	k.checkTools(t, tools, !trouble.remounts)
	if trouble.restarts {
		for _, d := range slices.Concat(slices.Collect(maps.Values(k.items)), k.ending) {
			d.doubtful = d.doubtful || !d.ended
		}
	}
	k.threadsAreFree(t)
	k.verify(t)
	k.threadsAreFree(t)
	require.NotContains(t, k.mount.Log.Text(), "damaged")
}

// settleSoak takes in what a worker has told. What failed in a mount that was
// killed may have happened; what failed in one that was alive has not, but the
// server may have made a download all the same.
func (k *soak) settleSoak(t *testing.T, p *crashPlan, answers []crashAnswer, name string) {
	t.Helper()
	require.Len(t, answers, len(p.ops))
	for i, op := range p.ops {
		a := answers[i]
		switch {
		case a.Errno == "skipped":
		case a.Errno == "ok":
			k.happened(t, p, op, a.Result)
		default:
			require.NotEqual(t, "none", name, "%s failed without trouble: %s %s", op.Op, a.Errno, a.Result)
			may := []string{"ENOTCONN", "ECONNABORTED", "EIO", "ETIMEDOUT", "EHOSTUNREACH", "EACCES", "EPROTO"}
			if troubles[name].remounts {
				may = append(may, "ENOENT") // nothing is mounted
			}
			require.Contains(t, may, a.Errno, "%s, with trouble %s: %s", op.Op, name, a.Result)
			k.errors[op.Op+" "+a.Errno]++
			if troubles[name].remounts {
				k.cutOff(p, op)
			} else if op.Op == "create" {
				k.lost++
			}
		}
	}
}

// soakTools read an archive of the library, $1, which has the MD5 sum $2, and
// may write to the directory $3.
var soakTools = []string{
	`unzip -tq "$1"`,
	`test "$(md5sum < "$1")" = "$2  -"`,
	`cp "$1" "$3/copy.zip" && test "$(md5sum < "$3/copy.zip")" = "$2  -"`,
	`7z t -bd "$1"`,
	`bsdtar -tf "$1"`,
	`python3 -m zipfile -t "$1"`,
	`unzip -oqd "$3" "$1"`,
	`dd if="$1" of=/dev/null bs=4096 skip=100 count=50`,
	`tail -c 5000 "$1"`,
	`cat "${1%archive.zip}status" && ls -l "${1%archive.zip}"`,
}

// startTools starts a few tools, one after another, on each archive of the library.
func (k *soak) startTools(t *testing.T) []*harness.Process {
	t.Helper()
	var started []*harness.Process
	for i, d := range k.library {
		var script strings.Builder
		for range 8 {
			tool := soakTools[k.random.IntN(len(soakTools))]
			fmt.Fprintf(&script, "( %s ) > /dev/null 2> \"$3/stderr\" || { echo '%s'; cat \"$3/stderr\"; }\n", tool, strings.ReplaceAll(tool, "'", ""))
			k.tools++
		}
		out := filepath.Join(k.out, fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(out, 0o700))
		path := filepath.Join(k.mount.Downloads, d.names[0], "archive.zip")
		started = append(started, harness.Cmd{User: k.mount.User, Timeout: 2 * time.Minute, Name: "bash",
			Args: []string{"-c", script.String(), "bash", path, k.sum(t, d.id), out}}.Start(t))
	}
	return started
}

// checkTools waits for the tools and fails if one failed that had no reason to:
// the archives are whole in the cache, so no trouble but the mount's own is one.
func (k *soak) checkTools(t *testing.T, tools []*harness.Process, mustWork bool) {
	t.Helper()
	for _, p := range tools {
		r := p.Wait()
		require.False(t, r.TimedOut, "a tool hangs: %s", r)
		if mustWork {
			require.Empty(t, r.Stdout, "tools that failed")
		}
	}
}

// finish removes everything and looks for what is left.
func (k *soak) finish(t *testing.T, before loadUse) {
	t.Helper()
	t.Logf("rounds: %v", k.rounds)
	t.Logf("errors met: %v", k.errors)
	t.Logf("%d archives compared, %d tools run, %d removals; creations cut off: %d listed, %d not, %d of these known to the server",
		k.checked, k.tools, len(k.removed), k.survived, k.lost, k.orphans)
	var ops []crashOp
	names := map[int]string{}
	for key, d := range k.items {
		names[key] = d.names[0]
		ops = append(ops, crashOp{Op: "remove", Key: key})
	}
	for i, a := range k.drive(t, names, ops...) {
		k.happened(t, nil, ops[i], a.Result)
	}
	assert.Empty(t, k.mount.List(t))
	k.serverFollows(t)
	var after loadUse
	harness.Eventually(t, time.Minute, func() bool {
		after = usedBy(t, k.mount)
		return after.Goroutines <= before.Goroutines+8 && after.Descriptors <= before.Descriptors+8
	}, "something is left: %v at the start", before)
	t.Logf("at the end: %v", after)
}
