package integration

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// contentsTools are what people use on the files in an archive; $c is contents/.
var contentsTools = []tool{
	{"cp -rL", "", `cp -rL "$c" out`, unpacked("out")},
	{"busybox cp -rL", "busybox", `busybox cp -rL "$c" out`, unpacked("out")},
	{"rsync -aL", "", `rsync -aL "$c" out`, unpacked("out")},
	{"tar ch", "", `mkdir out; tar chC "$c" . | tar xC out`, unpacked("out")},
	{"bsdtar", "", `mkdir out; bsdtar cLf - -C "$c" . | tar xC out`, unpacked("out")},
	{"cpio", "", `mkdir out; o=$PWD; cd "$c" && find . | cpio -o --quiet | (cd $o/out; cpio -id --quiet)`, unpacked("out")},
	{"ls", "", `ls "$c/Q3"`, printed(func(archive) string { return "empty.txt\nphotos\nreport.txt\nÜberblick 2026 – Q3.txt\n" })},
	{"find -L", "find", `find -L "$c" -type f -printf '%s\n' | sort -n | tr '\n' ' '`, printed(func(archive) string { return "0 8 130000 300000 500000 500000 " })},
	{"grep -r", "grep", `grep -rc well "$c" | grep -v :0 | sed 's/.*://'`, printed(func(archive) string { return "10000\n" })},
	{"cat", "", `cd "$c" && cat Q3/empty.txt Q3/photos/old/three.jpg`, printed(func(archive) string { return harness.Noise(3, 300_000) })},
	{"tail -c", "tail", `tail -c 14 "$c/Q3/report.txt"`, printed(func(archive) string { return "\nAll is well.\n" })},
	{"cmp", "", `cd "$c/Q3/photos" && cmp one.jpg one.jpg && ! cmp -s one.jpg two.jpg && echo differ`, printed(func(archive) string { return "differ\n" })},
	{"stat", "", `stat -Lc '%s %F' "$c/Q3/report.txt"`, printed(func(archive) string { return "130000 regular file\n" })},
	{"gio copy", "gio", `gio copy "$c/Q3/photos/two.jpg" got && cat got`, printed(func(archive) string { return harness.Noise(2, 500_000) })},
	{"gio list", "gio", `gio list "$c/Q3/photos" | sort`, printed(func(archive) string { return "none\nold\none.jpg\ntwo.jpg\n" })},
	{"python", "python3", `exec python3 - "$c" <<'EOF'
import mmap, os, random, sys
path = sys.argv[1] + '/Q3/photos/one.jpg'
with open(path, 'rb') as f: data = f.read()
fd = os.open(path, os.O_RDONLY)
for at in range(len(data) - 1, 0, -7919): assert os.pread(fd, 100, at) == data[at:at+100]
for i in range(200):
    at = random.randrange(len(data)); assert os.pread(fd, 5000, at) == data[at:at+5000]
assert mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:] == data
assert os.lseek(fd, 0, os.SEEK_END) == len(data) == os.stat(path).st_size
sys.stdout.buffer.write(data)
EOF`, printed(func(archive) string { return harness.Noise(1, 500_000) })},
}

// with has a tool's script begin with what $c is.
func (tl tool) with(name string) tool {
	tl.script = `c=$1/` + name + `; ` + tl.script
	if tl.need == "" {
		tl.need, _, _ = strings.Cut(tl.name, " ")
	}
	return tl
}

// TestContentsTools: every tool that is started on the contents of an archive that
// is still pending waits, and then finds all that is in it.
// Proves S-136.
func TestContentsTools(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, toolTree(t), "--archive-rate", "500K")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		node := s.NodeID(t, "Q3")
		var running sync.WaitGroup
		defer running.Wait()
		slots := make(chan struct{}, toolsAtOnce)
		for i, tl := range contentsTools {
			if !harness.InShare(t, i+u.Row(), tl.name) {
				continue
			}
			running.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(tl.name, func(t *testing.T) { tl.with("contents/").run(t, s, m, node, "") })
			})
		}
	})
}

// use runs a tool on a download that is there.
func (tl tool) use(t *testing.T, m *harness.Mount, id string, a archive) {
	t.Helper()
	dir := harness.Dir(t, m.User)
	r := harness.Cmd{User: m.User, Dir: dir, Name: "sh", Args: []string{"-c", `d=$1 f=$1/archive.zip; ` + tl.script, "sh", filepath.Join(m.Downloads, id)}}.Run(t).OK(t)
	tl.check(t, a, toolRun{dir, r.Stdout})
}

// TestContentsOfAnArchiveInParts: it makes no difference how much of the archive is
// in the cache, nor, once all of it is, whether there is a server; a kill in the middle
// costs nothing either.
// Proves S-150.
func TestContentsOfAnArchiveInParts(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, toolTree(t))
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--prefetch", "off"}})
	id := m.Create(t, s.NodeID(t, "Q3"))
	m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	a := fetch(t, s, id)
	m.Sh(t, "cat "+id+"/contents/Q3/photos/old/three.jpg "+id+"/contents/Q3/empty.txt >/dev/null").OK(t)
	for _, tl := range contentsTools[:5] {
		tl.with("contents/").use(t, m, id, a)
	}
	p := m.Cmd("while cp -rL " + id + "/contents/ /dev/null/x; do :; done; while cat " + id + "/contents/Q3/photos/*.jpg; do :; done >/dev/null").Start(t)
	m.Kill9(t)
	p.Wait()
	m.Remount(t)
	m.Sh(t, "cat "+id+"/archive.zip >/dev/null").OK(t)
	s.Stop(t)
	m.Log.Allow("cannot be reached|unavailable|refused")
	for _, tl := range contentsTools {
		tl.with("contents/").use(t, m, id, a)
	}
	assert.Equal(t, fmt.Sprint(len(a.entries)), m.Status(t, id, "entries"))
}

// TestContentsReaders: 50 readers of one file, and of 50 files.
// Proves S-139.
func TestContentsReaders(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{"d/big.txt": strings.Repeat("0123456789abcde\n", 500_000)}
	for i := range 50 {
		files[fmt.Sprintf("d/%02d.txt", i)] = strings.Repeat(fmt.Sprintf("line of %d\n", i), 20_000)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir)
	m := harness.StartMount(t, s, harness.MountOptions{LogLevel: "info"})
	id := m.Create(t, s.NodeID(t, "d"))
	out := m.Sh(t, `cd `+id+`/contents/d; for i in $(seq 50); do md5sum big.txt & done | sort | uniq -c | awk '{print $1}'; wait`).Out(t)
	assert.Equal(t, "50", out)
	out = m.Sh(t, `cd `+id+`/contents/d; for f in ??.txt; do wc -l $f & done | awk '{print $1}' | sort | uniq -c | awk '{print $1, $2}'; wait`).Out(t)
	assert.Equal(t, "50 20000", out)
}

// TestContentsRequests: one document costs little more than itself, and all of them
// one stream. The kernel looks each of them up once at most and opens it once, although
// cp names it twice by its whole path.
// Proves S-135.
func TestContentsRequests(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{"d/the one.bin": harness.Noise(99, 1<<20)}
	for i := range 600 {
		files[fmt.Sprintf("d/a document with a name of some length %05d.bin", i)] = harness.Noise(uint64(i), 100_000)
	}
	harness.Tree(t, dir, files)
	s := harness.StartServer(t, dir)
	options := harness.MountOptions{LogLevel: "info", Flags: []string{"--prefetch", "off"}}
	m := harness.StartMount(t, s, options)
	id := m.Create(t, s.NodeID(t, "d"))
	m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	counters := func() (requests, bytes float64) {
		stats := s.Stats(t)
		return stats["content"].(float64), stats["contentBytes"].(float64)
	}
	n, sent := counters()
	m.Sh(t, "cmp -n 1048576 "+id+"/contents/d/the\\ one.bin "+filepath.Join(dir, "d/the\\ one.bin")).OK(t)
	m.Unmount(t)
	after, bytes := counters()
	assert.LessOrEqual(t, after-n, 3.0, "requests for one document")
	assert.LessOrEqual(t, bytes-sent, float64(1<<20+600*170+2<<20), "bytes for one document")

	// In the background as much is fetched as is read.
	m = harness.StartMount(t, s, harness.MountOptions{})
	n, sent = after, bytes
	m.Sh(t, "mkdir "+id).OK(t)
	out := filepath.Join(harness.Dir(t, harness.User{}), "out")
	// Other programs look at this mount too: the list of another test opens its .stats.
	cp := m.Sh(t, "echo $$; exec cp -rL "+id+"/contents/ "+out).OK(t).Out(t)
	m.Sh(t, "chmod -R u+w "+out).OK(t)
	m.Sh(t, "diff -r "+out+"/d "+dir+"/d").OK(t)
	m.Unmount(t)
	operations := func(op string) map[string]int {
		outcomes := map[string]int{}
		for _, r := range m.Log.Records(op) {
			if r.String("pid") == cp {
				outcomes[cmp.Or(r.String("errno"), "ok")]++
			}
		}
		return outcomes
	}
	assert.Equal(t, map[string]int{"ok": 601}, operations("open"))
	assert.Less(t, operations("lookup")["ok"], 601+100)
	assert.Less(t, operations("readlink")["ok"], 10)
	after, bytes = counters()
	assert.LessOrEqual(t, after-n, 3.0, "requests for all documents")
	assert.LessOrEqual(t, bytes-sent, 1.05*61e6)
}

// TestContentsInTrouble: what keeps archive.zip from being read keeps its contents
// from being read, with the same errno; what costs it only time costs them only time.
// Proves S-136.
func TestContentsInTrouble(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	tests := map[string]func(*testing.T){}
	for _, c := range []struct {
		name  string
		fault faults.Fault
		times int
		want  seen
	}{
		{"body reset once", faults.Reset(20_000), 1, seen{}},
		{"body cut once", faults.Truncate(20_000), 1, seen{}},
		{"503 twice", faults.Status(503), 2, seen{}},
		{"503 always", faults.Status(503), 0, *seesUnreachable},
		{"403 always", faults.Status(403), 0, *seesForbidden},
		{"range elsewhere", faults.ShiftRange(10), 0, *seesStrange},
		{"total changed", faults.WrongTotal(7), 0, *seesChanged},
	} {
		tests[c.name] = func(t *testing.T) {
			r := newFaultRig(t, server).mounted(t)
			id := r.done(t)
			in := r.http.Inject(faults.Rule{On: faults.Content, Times: c.times, Fault: c.fault})
			got := r.mount.Cmd("find -L " + id + "/contents/ -type f -exec cat {} + | md5sum; exec ls " + id + "/contents/").Run(t)
			require.NotZero(t, in.Hits())
			seen{errno: c.want.errno}.check(t, got, "")
			in.Remove()
			want := r.mount.Sh(t, "unzip -p "+id+"/archive.zip | md5sum").Out(t)
			assert.Equal(t, want, r.mount.Sh(t, "find -L "+id+"/contents/ -type f -exec cat {} + | md5sum").Out(t))
		}
	}
	sideBySide(t, 4, tests)
}

// TestContentsRemovedWhileReading: who reads a file in an archive reads on while the
// download is removed, here and on the server.
// Proves S-146.
func TestContentsRemovedWhileReading(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, toolTree(t), "--content-rate", "300K")
	m := harness.StartMount(t, s, harness.MountOptions{Flags: []string{"--prefetch", "off"}})
	id := m.Create(t, s.NodeID(t, "Q3"))
	m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	out := m.Sh(t, "exec 3< "+id+"/contents/Q3/photos/one.jpg; head -c 1000 <&3 >/dev/null; rm -r "+id+"; ls; cat /proc/self/fd/3 | md5sum").Out(t)
	assert.Equal(t, fmt.Sprintf("new\n%x  -", md5.Sum([]byte(harness.Noise(1, 500_000)))), out)
	harness.Eventually(t, harness.Timeout, func() bool { return s.Status(t, id) == "" }, "it is still on the server")
}
