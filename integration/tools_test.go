package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// toolRun is what a tool did with an archive.
type toolRun struct {
	dir    string // where it ran
	stdout string
}

// tool is an ordinary way of using archive.zip.
type tool struct {
	name string
	need string // the program, name's first word if empty
	// script is run by sh in an empty directory outside the mount; $d is the
	// download's directory and $f its archive.zip.
	script string
	check  func(testing.TB, archive, toolRun)
}

// copied says that the tool has left the archive as the file name.
func copied(name string) func(testing.TB, archive, toolRun) {
	return func(t testing.TB, a archive, u toolRun) { a.assertCopy(t, filepath.Join(u.dir, name)) }
}

// unpacked says that the tool has unpacked the archive in the directory name.
func unpacked(name string) func(testing.TB, archive, toolRun) {
	return func(t testing.TB, a archive, u toolRun) { a.assertUnpacked(t, filepath.Join(u.dir, name)) }
}

// printed says what the tool has written to standard output, exactly.
func printed(want func(archive) string) func(testing.TB, archive, toolRun) {
	return func(t testing.TB, a archive, u toolRun) {
		if got := want(a); got != u.stdout {
			// Not assert.Equal: it may be an archive.
			assert.Fail(t, "wrong output", "%d bytes instead of %d:\n%.500q", len(u.stdout), len(got), u.stdout)
		}
	}
}

// told says that the output has each of some texts in it.
func told(texts func(archive) []string) func(testing.TB, archive, toolRun) {
	return func(t testing.TB, a archive, u toolRun) {
		for _, text := range texts(a) {
			assert.Contains(t, u.stdout, text)
		}
	}
}

var (
	whole   = printed(func(a archive) string { return string(a.bytes) })
	md5Line = printed(func(a archive) string { return a.md5() + "\n" })
	size    = printed(func(a archive) string { return fmt.Sprintln(len(a.bytes)) })
	names   = printed(archive.names)
	content = printed(archive.content)
)

// listed says that a tool has named every entry, and how many and how large all
// files are.
func listed(total string) func(testing.TB, archive, toolRun) {
	return told(func(a archive) []string {
		count, size := a.files()
		texts := []string{strings.NewReplacer("COUNT", fmt.Sprint(count), "ENTRIES", fmt.Sprint(len(a.entries)),
			"SIZE", fmt.Sprint(size)).Replace(total)}
		for _, e := range a.entries {
			texts = append(texts, strings.TrimSuffix(e.name, "/"))
		}
		return texts
	})
}

// python is a Python program that gets the archive's path and prints the MD5
// sum of what it has read as data.
func python(program string) string {
	return "exec python3 - \"$f\" <<'EOF'\nimport hashlib, mmap, os, sys\npath = sys.argv[1]\n" + program +
		"\nprint(hashlib.md5(data).hexdigest())\nEOF"
}

// tools are what people and programs use on an archive.
var tools = []tool{
	{"cp", "", `cp "$f" got`, copied("got")},
	{"cp -r", "", `cp -r "$d" entry`, copied("entry/archive.zip")},
	{"cp -a", "", `cp -a "$d" entry`, copied("entry/archive.zip")},
	{"cp --sparse", "", `cp --sparse=always "$f" got`, copied("got")},
	{"cat", "", `cat "$f"`, whole},
	{"cat <", "", `cat < "$f"`, whole},
	{"dd", "", `dd if="$f" of=got bs=64k status=none`, copied("got")},
	{"dd skip", "dd", `dd if="$f" bs=1k skip=500 count=7 status=none`,
		printed(func(a archive) string { return string(a.bytes[500<<10 : 507<<10]) })},
	{"unzip", "", `unzip -q "$f" -d out`, unpacked("out")},
	{"unzip -l", "", `unzip -l "$f"`, listed("SIZE                     ENTRIES files")},
	{"unzip -p", "", `unzip -p "$f"`, content},
	{"unzip -t", "", `unzip -t "$f"`, told(func(archive) []string { return []string{"No errors detected in compressed data"} })},
	{"zipinfo", "", `zipinfo -1 "$f"`, names},
	{"7z t", "", `7z t "$f"`, told(func(a archive) []string {
		count, size := a.files()
		return []string{"Everything is Ok", fmt.Sprintf("Files: %d\n", count), fmt.Sprintf("Size:       %d\n", size),
			fmt.Sprintf("Compressed: %d\n", len(a.bytes))}
	})},
	{"7z x", "", `7z x -oout "$f" >/dev/null`, unpacked("out")},
	{"bsdtar x", "", `mkdir out; bsdtar -xf "$f" -C out`, unpacked("out")},
	{"bsdtar t", "", `bsdtar -tf "$f"`, names},
	{"bsdtar c of the file", "bsdtar", `bsdtar -cf got.tar -C "$d" archive.zip && tar xf got.tar`, copied("archive.zip")},
	{"tar c of the file", "tar", `tar cf got.tar -C "$d" archive.zip && tar xf got.tar`, copied("archive.zip")},
	// Its status changes while the server zips, and tar complains of what changes under it.
	{"tar c of the directory", "tar", `tar cf got.tar -C "$d" --exclude='./status*' . && tar xf got.tar`, copied("archive.zip")},
	{"rsync -a of the file", "rsync", `rsync -a "$f" got`, copied("got")},
	{"rsync -a of the directory", "rsync", `rsync -a "$d/" entry`, copied("entry/archive.zip")},
	{"busybox cp", "", `busybox cp "$f" got`, copied("got")},
	{"busybox unzip", "", `busybox unzip -q "$f" -d out`, unpacked("out")},
	{"gio copy", "", `gio copy "$f" got`, copied("got")},
	{"curl", "", `curl -s -o got "file://$f"`, copied("got")},
	{"file", "", `file -b "$f"`, told(func(archive) []string { return []string{"Zip archive data"} })},
	{"md5sum", "", `md5sum < "$f" | cut -d ' ' -f 1`, md5Line},
	{"wc -c", "", `wc -c < "$f"`, size},
	{"stat -c %s", "", `stat -c %s "$f"`, size},
	{"head", "", `head -c 1000 "$f"`, printed(func(a archive) string { return string(a.bytes[:1000]) })},
	{"tail", "", `tail -c 1000 "$f"`, printed(func(a archive) string { return string(a.bytes[len(a.bytes)-1000:]) })},
	{"mv", "", `mv "$f" got`, copied("got")},
	{"python zipfile", "python3", `exec python3 -c '
import sys, zipfile
zipfile.ZipFile(sys.argv[1]).extractall("out")
' "$f"`, unpacked("out")},
	{"python shutil", "python3", `exec python3 -c 'import shutil, sys; shutil.copy2(sys.argv[1], "got")' "$f"`, copied("got")},
	{"sendfile", "python3", python(`
with open(path, "rb") as src, open("got", "w+b") as dst:
    left = os.fstat(src.fileno()).st_size
    while left > 0:
        n = os.sendfile(dst.fileno(), src.fileno(), None, left)
        if n == 0: sys.exit("sendfile ends %d bytes too early" % left)
        left -= n
    dst.seek(0)
    data = dst.read()`), md5Line},
	{"sendfile of the size before opening", "python3", python(`
left = os.stat(path).st_size
with open(path, "rb") as src, open("got", "w+b") as dst:
    while left > 0:
        n = os.sendfile(dst.fileno(), src.fileno(), None, left)
        if n == 0: sys.exit("sendfile ends %d bytes too early" % left)
        left -= n
    dst.seek(0)
    data = dst.read()`), md5Line},
	{"splice", "python3", python(`
data = b""
r, w = os.pipe()
with open(path, "rb") as src:
    while (n := os.splice(src.fileno(), w, 1 << 16)) > 0:
        data += os.read(r, n)`), md5Line},
	{"mmap", "python3", python(`
with open(path, "rb") as src:
    data = mmap.mmap(src.fileno(), 0, prot=mmap.PROT_READ)[:]`), md5Line},
	{"lseek SEEK_END", "python3", python(`
fd = os.open(path, os.O_RDONLY)
end = os.lseek(fd, 0, os.SEEK_END)
data = b"".join(os.pread(fd, 4096, off) for off in range(0, end, 4096))`), md5Line},
	{"pread backwards", "python3", python(`
fd = os.open(path, os.O_RDONLY)
end = os.fstat(fd).st_size
parts = [os.pread(fd, 7001, off) for off in reversed(range(0, end, 7001))]
data = b"".join(reversed(parts))`), md5Line},
	{"Go archive/zip", "", "", printed(archive.sums)},
}

// toolTree is what the tools' archives hold: more than a block of the cache,
// what zips can hold, and names that are not ASCII.
func toolTree(t testing.TB) string {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{
		"Q3/report.txt":              strings.Repeat("All is well.\n", 10_000),
		"Q3/Überblick 2026 – Q3.txt": "Grüße\n",
		"Q3/empty.txt":               "",
		"Q3/photos/one.jpg":          harness.Noise(1, 500_000),
		"Q3/photos/two.jpg":          harness.Noise(2, 500_000),
		"Q3/photos/old/three.jpg":    harness.Noise(3, 300_000),
		"Q3/photos/none/":            "",
	})
	return dir
}

// toolsAtOnce is how many tools run at the same time: as many downloads as the
// server zips at once.
const toolsAtOnce = 8

// TestTools: every tool that is started on an archive that is still pending
// waits, and then has the right bytes.
// Proves S-13.
func TestTools(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, toolTree(t), "--archive-rate", "500K")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		node := s.NodeID(t, "Q3")
		exe := self(t)

		var running sync.WaitGroup
		defer running.Wait()
		slots := make(chan struct{}, toolsAtOnce)
		for i, tl := range tools {
			if !harness.InShare(t, i+u.Row(), tl.name) {
				continue
			}
			running.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(tl.name, func(t *testing.T) { tl.run(t, s, m, node, exe) })
			})
		}
	})
}

// run makes a download and uses the tool on it before it is done.
func (tl tool) run(t *testing.T, s *harness.Server, m *harness.Mount, node, exe string) {
	dir := harness.Dir(t, m.User)
	id := m.Create(t, node)
	entry := filepath.Join(m.Downloads, id)
	c := harness.Cmd{User: m.User, Dir: dir, Name: "sh",
		Args: []string{"-c", `d=$1 f=$1/archive.zip; ` + tl.script, "sh", entry}}
	if tl.script == "" {
		c.Name, c.Args, c.Env = exe, nil, []string{envGoZip + "=" + entry + "/archive.zip"}
	} else {
		need := tl.need
		if need == "" {
			need, _, _ = strings.Cut(tl.name, " ")
		}
		harness.Tool(t, need)
	}
	p := c.Start(t)
	// Two seconds of zipping are left, or a little less.
	require.Contains(t, []string{"PENDING", "IN_PROGRESS"}, s.Status(t, id), "the tool was started too late to wait")
	r := p.Wait().OK(t)
	assert.Empty(t, r.Stderr)
	a := fetch(t, s, id)
	tl.check(t, a, toolRun{dir, r.Stdout})
	if t.Failed() {
		t.Log(r)
	}
}
