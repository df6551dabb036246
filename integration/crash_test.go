package integration

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// envCrashLoops says how often TestCrashLoop kills the mount.
const envCrashLoops = "DOWNLOADFS_CRASH_LOOPS"

// envNumber returns a number that may be given in the environment.
func envNumber(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "%s", name)
	return n
}

// TestCrashLoop kills the mount with SIGKILL at random moments of everything it
// does and mounts again. What was acknowledged before a kill is there after it;
// what was not has happened or has not.
// Proves S-33, S-34.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	kills := envNumber(t, envCrashLoops, 26)
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		crashLoop(t, u, kills/2, seed)
	})
}

func crashLoop(t *testing.T, u harness.User, kills int, seed uint64) {
	server := harness.StartServer(t, crashTree(t), "--archive-rate", "3M", "--content-rate", "3M")
	m := harness.StartMount(t, server, harness.MountOptions{User: u, LogLevel: "info"})
	c := newCrashModel(t, server, m, seed)
	focuses := slices.Sorted(maps.Keys(crashFocuses))
	c.random.Shuffle(len(focuses), func(i, j int) { focuses[i], focuses[j] = focuses[j], focuses[i] })
	focuses = append(focuses, "start")

	var remounts []time.Duration
	hit := map[string]int{}
	windows := map[string]time.Duration{}
	for i := range kills {
		focus := focuses[i%len(focuses)]
		if focus == "start" {
			c.killAtStart(t, 2*remounts[len(remounts)-1], hit)
		} else {
			windows[focus] = c.killDuring(t, focus, windows[focus], hit)
		}
		checkDatabases(t, m)
		begun := time.Now()
		m.Remount(t)
		remounts = append(remounts, time.Since(begun))
		c.verify(t)
		c.threadsAreFree(t)
		if t.Failed() {
			t.Fatalf("after kill %d, in %s", i+1, focus)
		}
	}
	c.serverFollows(t)

	slices.Sort(remounts)
	t.Logf("%d kills; interrupted: %v; creations cut off: %d listed, %d not, %d of these known to the server; "+
		"archives compared %d; removals %d, cancels %d; mounting again: median %v, worst %v",
		kills, hit, c.survived, c.lost, c.orphans, c.checked, len(c.removed), len(c.stopped),
		remounts[len(remounts)/2].Round(time.Millisecond), remounts[len(remounts)-1].Round(time.Millisecond))
	assert.Less(t, remounts[len(remounts)-1], harness.Scaled(3*time.Second), "replacing a dead mount")
}

// killDuring kills the mount while three workers are busy, two of them mostly
// with one kind of thing, and counts what was interrupted. The kill comes at a
// random moment of window; it returns a better one for the next time.
func (c *crashModel) killDuring(t *testing.T, focus string, window time.Duration, hit map[string]int) time.Duration {
	t.Helper()
	const workers = 3
	if window == 0 {
		window = 400 * time.Millisecond
	}
	c.makeAdoptable(t, 20)
	others := slices.Sorted(maps.Keys(crashFocuses))
	var drivers []*crashProcess
	var plans []*crashPlan
	for w := range workers {
		f := focus
		if w == workers-1 {
			f = others[c.random.IntN(len(others))]
		}
		plans = append(plans, c.plan(w, f))
		drivers = append(drivers, startDriver(t, c.mount))
	}
	for w, p := range plans {
		drivers[w].order(t, p.names, p.ops, false)
	}
	time.Sleep(time.Duration(c.random.Int64N(int64(window))))
	killed := time.Now()
	c.mount.Kill9(t)
	next := min(window*5/4, 2*time.Second)
	for w, p := range plans {
		op := c.settle(t, p, drivers[w].answers(t), killed)
		if op == "" {
			op = "nothing"
			if w < workers-1 { // they had done all before
				next = max(window*2/3, 20*time.Millisecond)
			}
		}
		hit[op]++
	}
	return next
}

// killAtStart kills the mount and then processes that are mounting again, which
// takes about window.
func (c *crashModel) killAtStart(t *testing.T, window time.Duration, hit map[string]int) {
	t.Helper()
	m := c.mount
	m.Kill9(t)
	for range 5 {
		p := harness.Cmd{User: m.User, Name: harness.Binary(),
			Env:  []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword},
			Args: []string{"mount", "--state-dir", m.StateDir, "--cache-dir", m.CacheDir, c.server.URL, m.Path},
		}.Start(t)
		time.Sleep(time.Duration(c.random.Int64N(int64(window))))
		// Not its group: fusermount3 may be about to mount for it.
		if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err == nil && p.Output() == "" {
			hit["start"]++
		}
		r := p.Wait()
		require.Equal(t, syscall.SIGKILL, r.Signal, "%s", r)
	}
}

// checkDatabases looks for damage in the files that the killed process wrote.
func checkDatabases(t *testing.T, m *harness.Mount) {
	t.Helper()
	found := 0
	for _, dir := range []string{m.StateDir, m.CacheDir} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".db" {
				return err
			}
			found++
			db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			err = db.View(func(tx *bolt.Tx) error {
				for damage := range tx.Check() {
					t.Errorf("%s: %v", path, damage)
				}
				return nil
			})
			if closeErr := db.Close(); err == nil {
				err = closeErr
			}
			return err
		}))
	}
	require.Equal(t, 2, found, "databases of the journal and of the cache")
}

// TestCrashWindow: between the server's answer to a creation and the journal's
// record of it a crash leaves a download on the server that nobody can find. It
// was never acknowledged, it is not listed, and the window is as short as a
// write to disk is.
func TestCrashWindow(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t)))
	r.mounted(t)

	const n = 30
	for range n {
		r.create(t)
	}
	var windows []time.Duration
	var answered time.Time
	for _, record := range r.mount.Log.Records("create") {
		at, err := time.Parse(time.RFC3339Nano, record.String("time"))
		require.NoError(t, err)
		switch record.String("msg") {
		case "answer":
			answered = at
		case "download created":
			windows = append(windows, at.Sub(answered))
		}
	}
	require.Len(t, windows, n)
	slices.Sort(windows)
	t.Logf("from the answer to the journal's record: median %v, worst %v", windows[n/2], windows[n-1])
	assert.Less(t, windows[n/2], harness.Scaled(time.Second))

	// The server's answer is held back, so that the kill falls into the window.
	listed := r.mount.List(t)
	held := r.http.Inject(faults.Rule{On: faults.Create, Fault: faults.DelayAnswer(time.Minute)})
	p := r.write(t, "/"+photos)
	<-held.First()
	harness.Eventually(t, harness.Timeout, func() bool { return r.server.Stats(t)["create"].(float64) == n+1 }, "not asked for")
	r.mount.Kill9(t)
	result := p.Wait()
	require.NotZero(t, result.Code, "a creation was acknowledged that is not in the journal: %s", result)
	assert.True(t, strings.Contains(result.Stderr, "not connected") || strings.Contains(result.Stderr, "abort"), "%s", result)
	held.Remove()
	r.mount.Remount(t)
	assert.Equal(t, listed, r.mount.List(t))
}
