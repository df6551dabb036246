package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// announceLimit is how late a watcher may learn of what happens on a machine that is
// not busy.
var announceLimit = harness.Scaled(2 * time.Second)

// watcher is a program that watches directories of a mount with inotify.
type watcher struct {
	*harness.Process
	t *testing.T
}

// watch starts to watch directories of m, by their paths below downloads. It reads
// nothing there.
func watch(t *testing.T, m *harness.Mount, dirs ...string) watcher {
	t.Helper()
	harness.Lost(t, "watchers are told of what happens")
	args := []string{"-m", "--format", "%e %w%f", "-e", "create,delete,move,attrib,modify"}
	for _, dir := range dirs {
		args = append(args, filepath.Join(m.Downloads, dir))
	}
	w := watcher{harness.Cmd{User: m.User, Name: "inotifywait", Args: args}.Start(t), t}
	harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(w.Errors(), "Watches established") }, "nothing is watched")
	return w
}

// sees waits for an event of a path below downloads.
func (w watcher) sees(m *harness.Mount, event, path string) {
	w.t.Helper()
	line := event + " " + filepath.Join(m.Downloads, path) + "\n"
	harness.Eventually(w.t, harness.Timeout, func() bool { return strings.Contains(w.Output(), line) },
		"%s is not seen", line)
}

// announcers returns the processes that announce for m.
func announcers(t *testing.T, m *harness.Mount) (pids []string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.Pid()))
	require.NoError(t, err)
	require.NotEmpty(t, tasks)
	for _, children := range tasks {
		text, _ := os.ReadFile(children)
		for _, pid := range strings.Fields(string(text)) {
			if args, _ := os.ReadFile("/proc/" + pid + "/cmdline"); strings.HasPrefix(string(args), "downloadfs-announce\x00") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// TestAnnounced: those who watch see a download come, make progress and end, though
// no program touches the mount.
// Proves S-199.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		dir := harness.Dir(t, harness.User{})
		harness.Tree(t, dir, map[string]string{"scans/a": harness.Noise(1, 1<<20), "scans/b": harness.Noise(2, 1<<20), "scans/c": harness.Noise(3, 1<<20)})
		s := harness.StartServer(t, dir, "--archive-rate", "600000")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		quiet := submit(t, m, "scans")
		assert.Empty(t, announcers(t, m), "nobody watches")

		w := watch(t, m, ".")
		id := submit(t, m, "scans")
		w.sees(m, "CREATE,ISDIR", id)
		inside := watch(t, m, id)
		harness.Eventually(t, harness.Timeout, func() bool {
			return strings.Contains(inside.Output(), "ATTRIB "+filepath.Join(m.Downloads, id, "archive.zip")+"\n")
		}, "no progress is seen")
		assert.Equal(t, "IN_PROGRESS", s.Status(t, id))
		m.Log.AwaitRecord(t, harness.Timeout, "the end", func(r harness.Record) bool {
			return r.String("download") == id && r.String("state") == "DONE"
		})
		w.sees(m, "ATTRIB,ISDIR", id)
		inside.sees(m, "MODIFY", id+"/status")
		assert.Less(t, strings.Count(inside.Output(), "ATTRIB "), 14, "progress is told in large steps")
		assert.Equal(t, 1, strings.Count(w.Output(), "CREATE,ISDIR "+filepath.Join(m.Downloads, id)), "%s", w.Output())
		assert.NotContains(t, w.Output()+inside.Output(), "DELETE")
		m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)

		// What a program does through the kernel is seen once, as ever.
		m.Sh(t, "mv "+id+" q3").OK(t)
		w.sees(m, "MOVED_FROM,ISDIR", id)
		w.sees(m, "MOVED_TO,ISDIR", "q3")
		m.Sh(t, "rm -r q3 "+quiet).OK(t)
		w.sees(m, "DELETE,ISDIR", "q3")

		// A list in the place of new becomes a download. The control file stays.
		document := s.NodeID(t, "scans/a")
		script := `echo "$1" > "$2/.new.tmp"; mv -f "$2/.new.tmp" "$2/new"`
		harness.Cmd{User: u, Name: "sh", Args: []string{"-c", script, "sh", document, m.Downloads}}.Run(t).OK(t)
		m.Sh(t, "rmdir $(cat new)").OK(t)

		// A dropped list becomes a download, and is gone for those who watch. The
		// program that dropped it may still look at it, unless the download has its name.
		drop := harness.Cmd{User: u, Name: "python3", Args: []string{"-c", `
import os, sys, time
for name in 'list.txt', 'plain':
    open(sys.argv[2] + '/' + name, 'w').write(sys.argv[1] + '\n')
end = time.time() + 60
while not os.path.isdir(sys.argv[2] + '/plain'):
    assert time.time() < end
    time.sleep(1)
`, document, m.Downloads}}
		drop.Run(t).OK(t)
		w.sees(m, "CREATE", "list.txt")
		w.sees(m, "CREATE,ISDIR", "list")
		w.sees(m, "ATTRIB,ISDIR", "plain")
		harness.Eventually(t, harness.Timeout, func() bool {
			return strings.Contains(w.Output(), "DELETE "+filepath.Join(m.Downloads, "list.txt")+"\n")
		}, "the list stays")
		assert.NotContains(t, w.Output(), "DELETE "+filepath.Join(m.Downloads, "new")+"\n")
		assert.ElementsMatch(t, []string{"list", "plain"}, m.List(t))
		assert.Len(t, announcers(t, m), 1)
		m.Unmount(t)
	})
}

// TestAnnouncedNames: if all who watch a download's directory are programs of a desktop,
// they see that the ready archive has the server's name in place of archive.zip. Others see
// a second name.
// Proves S-202.
func TestAnnouncedNames(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"scans/a": harness.Noise(1, 1<<20)})
	s := harness.StartServer(t, dir, "--archive-rate", "200000")
	m := harness.StartMount(t, s, harness.MountOptions{})
	id, both := submit(t, m, "scans"), submit(t, m, "scans/a")
	inside := watch(t, m, both)
	var desktops []*harness.Process
	for _, name := range []string{id, both} {
		p := harness.Cmd{Name: "gio", Args: []string{"monitor", filepath.Join(m.Downloads, name)}, Env: []string{"GIO_USE_VFS=local"}}.Start(t)
		harness.Eventually(t, harness.Timeout, func() bool {
			fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.Pid()))
			return slices.ContainsFunc(fds, func(fd string) bool {
				text, _ := os.ReadFile(fd)
				return strings.Contains(string(text), "inotify wd:")
			})
		}, "nothing is watched")
		desktops = append(desktops, p)
	}
	m.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	m.AwaitStatus(t, harness.Timeout, both, "status", "DONE")
	harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(desktops[0].Output(), "scans.zip") }, "no name is seen")
	inside.sees(m, "CREATE", both+"/a.zip")
	assert.Regexp(t, `archive\.zip.*renamed.*scans\.zip`, desktops[0].Output())
	assert.NotContains(t, inside.Output(), "MOVED")
	assert.NotContains(t, inside.Output()+desktops[0].Output()+desktops[1].Output(), "delete")
	m.Sh(t, "test \"$(echo "+id+"/*.zip)\" = "+id+"/archive.zip && unzip -tq "+id+"/archive.zip && cmp "+id+"/archive.zip "+id+"/scans.zip").OK(t)
}

// TestAnnouncedSoon: it does not take long. The median of some counts, as this machine
// has other things to do too.
// Proves S-199.
func TestAnnouncedSoon(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{})
	document := s.NodeID(t, library+"/report.txt")
	w := watch(t, m, ".")
	var took []time.Duration
	for i := range 5 {
		id := m.Create(t, fmt.Sprintf("%s;1.%d", document, i))
		began := time.Now()
		w.sees(m, "CREATE,ISDIR", id)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	assert.LessOrEqual(t, took[len(took)/2], announceLimit, "%v", took)
	m.Sh(t, "rm -r */").OK(t)
}

// TestAnnouncedToOthers: other users learn of it too, and so do those whom the mount
// cannot see, once one of them has listed the directory.
// Proves S-199.
func TestAnnouncedToOthers(t *testing.T) {
	t.Parallel()
	other := harness.Nobody(t)
	for name, o := range map[string]harness.MountOptions{
		"another user":          {Flags: []string{"--allow-other"}},
		"another pid namespace": {PIDNamespace: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.StartServer(t, harness.Samples(t))
			m := harness.StartMount(t, s, o)
			if !o.PIDNamespace {
				m.User = other
			}
			m.Sh(t, "ls").OK(t)
			w := watch(t, m, ".")
			m.User = harness.User{}
			id := submit(t, m, "Sites")
			w.sees(m, "CREATE,ISDIR", id)
			m.Sh(t, "rm -r "+id).OK(t)
		})
	}
}

// TestAnnouncesNothingForUsers: what the announcements are made of is refused to users
// as ever, also under the name of the process that makes them.
// Proves S-200.
func TestAnnouncesNothingForUsers(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		w := watch(t, m, ".")
		id := submit(t, m, "Sites")
		w.sees(m, "CREATE,ISDIR", id)
		for _, script := range []string{"mkdir " + id, "touch " + id, "touch " + id + "/archive.zip", "touch -m " + id + "/status", "rm " + id} {
			assert.NotZero(t, m.Sh(t, script).Code, script)
		}
		forged := fmt.Sprintf(`{"mountpoint":%q,"device":%s}`+"\n", m.Path, harness.Cmd{User: u, Name: "stat", Args: []string{"-c", "%d", m.Path}}.Run(t).Out(t))
		for _, change := range []string{
			`{"kind":"mkdir","dir":"downloads","name":"` + id + `"}`, `{"kind":"times","dir":"downloads","name":"` + id + `"}`,
			`{"kind":"mtime","dir":"downloads/` + id + `","name":"status"}`, `{"kind":"unlink","dir":"downloads","name":"` + id + `"}`,
		} {
			c := harness.Cmd{User: u, Name: "bash", Args: []string{"-c", `exec -a downloadfs-announce "$0"`, harness.Binary()}}
			c.Stdin = strings.NewReader(forged + change)
			assert.Regexp(t, `^[1-9]\d*$`, c.Run(t).Out(t), change)
		}
		assert.Equal(t, []string{id}, m.List(t))
		m.Sh(t, "rm -r "+id).OK(t)
	})
}

// opened returns what the descriptors of a process are of.
func opened(t *testing.T, pid string) (files []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/" + pid + "/fd/*")
	require.NoError(t, err)
	require.NotEmpty(t, fds)
	for _, fd := range fds {
		file, _ := os.Readlink(fd)
		files = append(files, file)
	}
	return files
}

// TestAnnouncedAtTheEnd: announcements that are under way keep nobody from ending the
// mount, and nothing of them is left.
// Proves S-201.
func TestAnnouncedAtTheEnd(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		document := s.NodeID(t, library+"/report.txt")
		for _, end := range []func(){
			func() { m.Unmount(t) },
			func() { m.Kill9(t) },
			func() {
				unmount := harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", m.Path}}
				harness.Eventually(t, harness.Timeout, func() bool { return unmount.Run(t).Code == 0 }, "cannot be unmounted")
				assert.Zero(t, m.ExitCode(t))
			},
		} {
			w := watch(t, m, ".")
			first := m.Create(t, document)
			w.sees(m, "CREATE,ISDIR", first)
			pids := announcers(t, m)
			require.Len(t, pids, 1)
			assert.NotContains(t, opened(t, pids[0]), "/dev/fuse", "the child keeps a killed mount alive")
			harness.Eventually(t, harness.Timeout, func() bool { // once it has made its change
				return !slices.ContainsFunc(opened(t, pids[0]), func(file string) bool { return strings.HasPrefix(file, m.Path) })
			}, "the child keeps the mount busy")
			m.Sh(t, fmt.Sprintf("for i in $(seq 30); do echo '%s;1.'$i > new; done", document)).OK(t)
			harness.Eventually(t, harness.Timeout, func() bool { return strings.Count(w.Output(), "CREATE") > 5 }, "nothing is seen")
			w.Signal(t, syscall.SIGKILL) // it would keep the mount busy
			w.Wait()
			end()
			harness.Eventually(t, harness.Timeout, func() bool {
				_, err := os.Stat("/proc/" + pids[0])
				return os.IsNotExist(err)
			}, "the child is left")
			m.Remount(t)
			m.Sh(t, "rm -r */").OK(t)
		}
	})
}

// TestAnnouncedFromElsewhere: those who watch see a download of another machine come,
// get another name, and go. What a name means is what it means there.
// Proves S-207.
func TestAnnouncedFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newShareRig(t, 1<<20)
	ms := r.mounts(t, 2)
	w := watch(t, ms[1], ".")
	id, second := submit(t, ms[0], "large.bin"), submit(t, ms[0], "small.txt")
	w.sees(ms[1], "CREATE,ISDIR", id)
	w.sees(ms[1], "CREATE,ISDIR", second)
	ms[0].Sh(t, "mv "+id+" report").OK(t)
	w.sees(ms[1], "MOVED_TO,ISDIR", "report")
	assert.Contains(t, ms[1].Sh(t, "unzip -l report/archive.zip").Out(t), "large.bin")
	ms[0].Sh(t, "mv report old && mv "+second+" report").OK(t)
	awaitListed(t, ms[1], "old")
	harness.Eventually(t, harness.Timeout, func() bool {
		return strings.Contains(ms[1].Sh(t, "unzip -l report/archive.zip").Stdout, "small.txt")
	}, "the name means the other download")
	ms[0].Sh(t, "rm -r old report").OK(t)
	w.sees(ms[1], "DELETE,ISDIR", "old")
	w.sees(ms[1], "DELETE,ISDIR", "report")
	assert.NotZero(t, ms[1].Sh(t, "stat old || stat report").Code)
	assert.Equal(t, 1, strings.Count(w.Output(), "DELETE,ISDIR "+filepath.Join(ms[1].Downloads, "old")), "%s", w.Output())
}
