package integration

import (
	"cmp"
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

// The files that lists ask for; $a to $d are their node ids.
var asked = map[string]string{
	"a": "Sites/press/documentLibrary/report.txt",
	"b": "Sites/press/documentLibrary/photos/photo-1.jpg",
	"c": "Sites/press/documentLibrary/odd, # name.txt",
	"d": "User Homes/admin/admin.txt",
}

// way is a way of writing a list to new.
type way struct {
	name string
	need string // a program besides the shell
	// script runs in downloads/. $a to $d are node ids; $list is a file with $a
	// and $b on a line each, $lista and $listb with one of them.
	script string
	want   string // the files asked for, in order; "ab" if empty
}

// Where nothing is known of a caller but its number, the close of a copy that the
// opener makes looks like that of its last descriptor.
const (
	closesCopies = "a program that closes a copy of its descriptor ends its list"
	closesElse   = "the close of another process than the opener's tells nothing of the list"
)

// lostWays are the ways that are lost there.
var lostWays = map[string]string{
	"exec 3>": closesCopies, "exec 3> of programs": closesCopies, "exec 3>>": closesCopies, "exec 3> and a copy": closesCopies,
	"exec 3> twice": closesCopies, "busybox sh exec 3>": closesCopies, "python dup": closesCopies, "python read-write": closesCopies,
	"python passed to another process": closesElse,
}

// lost skips a way that is lost where nothing is known of a caller.
func (w way) lost(t *testing.T) {
	if why := lostWays[w.name]; why != "" {
		harness.Lost(t, why)
	}
}

// shellWays are tried with every shell: closing differs between them.
var shellWays = []way{
	{"echo", "", `echo $a $b > new`, ""},
	{"echo -n", "", `printf %s "$a $b" > new`, ""},
	{"printf", "", `printf '%s\n%s\n' $a $b > new`, ""},
	{"echo >>", "", `echo $a $b >> new`, ""},
	{"printf >>", "", `printf '%s\n' $a $b >> new`, ""},
	{"cat < list > new", "", `cat < "$list" > new`, ""},
	{"cat list >> new", "", `cat "$list" >> new`, ""},
	{"here document", "", "cat > new <<E\n$a\n$b\nE", ""},
	{"pipe", "", `echo $a $b | cat > new`, ""},
	{"pipe of builtins", "", `echo $a $b | while read line; do echo $line; done > new`, ""},
	{"group of programs", "", `{ cat "$lista"; cat "$listb"; } > new`, ""},
	{"group of builtins", "", `{ echo $a; echo $b; } > new`, ""},
	{"group >>", "", `{ echo $a; cat "$listb"; } >> new`, ""},
	{"group of writers and others", "", `{ true; echo $a; sleep 0.05; cat "$listb"; true; } > new`, ""},
	{"subshell", "", `( cat "$lista"; cat "$listb" ) > new`, ""},
	{"subshell of builtins", "", `( echo $a; echo $b ) > new`, ""},
	{"subshells in a group", "", `{ ( echo $a ); ( cat "$listb" ); } > new`, ""},
	{"loop", "", `for i in $a $b; do echo $i; done > new`, ""},
	{"function", "", `f() { echo $a; cat "$listb"; }; f > new`, ""},
	{"exec 3>", "", `exec 3> new; echo $a >&3; echo $b >&3; exec 3>&-`, ""},
	{"exec 3> of programs", "", `exec 3> new; cat "$lista" >&3; cat "$listb" >&3; exec 3>&-`, ""},
	{"exec 3>>", "", `exec 3>> new; echo $a >&3; cat "$listb" >&3; exec 3>&-`, ""},
	{"exec 3> and a copy", "", `exec 3> new 4>&3; echo $a >&3; exec 3>&-; echo $b >&4; exec 4>&-`, ""},
	{"exec 3> twice", "", `exec 3> new; exec 4> new; exec 4>&-; echo $a >&3; echo $b >&3; exec 3>&-`, ""},
	{"exec 3> and a child that keeps it", "", `exec 3> new; sleep 0.3 & echo $a $b >&3; exec 3>&-`, ""},
	{"group and a child that keeps it", "", `{ echo $a; sleep 0.3 & echo $b; } > new`, ""},
	{"exec of the shell", "", `exec 3>&1 > new; echo $a; echo $b; exec >&3 3>&-`, ""},
	{"exec 3<> and read", "", `exec 3<> new; echo $a $b >&3; read id <&3; exec 3>&-; test -d "$id"`, ""},
	{"exec 3<> of programs", "", `exec 3<> new; cat "$list" >&3; id=$(head -n 1 <&3); exec 3>&-; test -d "$id"`, ""},
	{"1<>", "", `cat "$list" 1<> new`, ""},
	{"command substitution", "", `x=$( { echo $a; echo $b; } > new )`, ""},
	{"background and wait", "", `{ echo $a; echo $b; } > new & wait`, ""},
	{"a shell's end", "", `sh -c 'exec > new; echo $1; echo $2' sh $a $b`, ""},
	{"eval", "", `eval 'echo $a $b > new'`, ""},
	{"noclobber override", "", `set -C; echo $a $b >| new`, ""},
}

// programWays are programs that open new themselves, or have it opened for them.
var programWays = []way{
	{"cp -p", "cp", `cp -p "$list" new`, ""},
	{"cp -a", "cp", `cp -a "$list" new`, ""},
	{"rsync --inplace", "rsync", `rsync -a --inplace "$list" new`, ""},
	{"rsync --inplace --preallocate", "rsync", `rsync -a --inplace --preallocate "$list" new`, ""},
	{"vim, saved three times", "vi", `vi -e -s -N -n -u NONE -i NONE new <<E
$ a
$a
$b
.
w
w
w
q
E`, ""},
	{"vim, saved after an error", "vi", `echo nonsense > new 2>/dev/null; vi -e -s -N -n -u NONE -i NONE new <<E
$ a
$a
$b
.
w
q
E`, ""},
	{"cp", "cp", `cp "$list" new`, ""},
	{"nodes of another", "cat", `cd "$(cat new)" && cat nodes > ../new; cd ..`, ""},
	{"cp /dev/stdin", "cp", `cp /dev/stdin new < "$list"`, ""},
	{"cp -f", "cp", `cp -f "$list" new`, ""},
	{"busybox cp", "busybox", `busybox cp "$list" new`, ""},
	{"busybox sh", "busybox", `busybox sh -c '{ echo $1; echo $2; } > new' sh $a $b`, ""},
	{"busybox sh exec 3>", "busybox", `busybox sh -c 'exec 3> new; echo $1 >&3; echo $2 >&3' sh $a $b`, ""},
	{"tee", "tee", `tee new < "$list" > /dev/null`, ""},
	{"tee -a", "tee", `{ echo $a; sleep 0.05; echo $b; } | tee -a new > /dev/null`, ""},
	{"dd", "dd", `dd if="$list" of=new status=none`, ""},
	{"dd bs=1", "dd", `dd if="$list" of=new bs=1 status=none`, ""},
	{"dd conv=notrunc", "dd", `dd if="$list" of=new conv=notrunc status=none`, ""},
	{"dd conv=fsync", "dd", `dd if="$list" of=new conv=fsync status=none`, ""},
	{"dd oflag=append", "dd", `dd if="$list" of=new oflag=append conv=notrunc status=none`, ""},
	{"dd to standard output", "dd", `dd if="$list" status=none > new`, ""},
	{"sed w", "sed", `sed -n 'w new' "$list"`, ""},
	{"awk", "awk", `awk '{ print > "new" }' "$list"`, ""},
	{"sort", "sort", `sort -o new "$lista"`, "a"},
	{"xargs", "xargs", `echo $a $b | xargs printf '%s\n' > new`, ""},
	{"xargs of many", "xargs", `echo $a $b | xargs -n 1 echo > new`, ""},
	{"perl", "perl", `perl -e 'open(F, ">", "new") or die; print F "$_\n" for @ARGV; close(F) or die' $a $b`, ""},
	{"curl", "curl", `curl -s -o new "file://$list"`, ""},
	{"python", "python3", python3(`open("new", "w").write(" ".join(ids))`), ""},
	{"python with", "python3", python3(`
with open("new", "w") as f:
    for i in ids: print(i, file=f)`), ""},
	{"python flush", "python3", python3(`
with open("new", "a") as f:
    for i in ids: print(i, file=f, flush=True)`), ""},
	{"python r+", "python3", python3(`
with open("new", "r+") as f:
    for i in ids: print(i, file=f)`), ""},
	{"python os.write", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
for byte in "\n".join(ids): os.write(fd, byte.encode())
os.close(fd)`), ""},
	{"python writev", "python3", python3(`
fd = os.open("new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
os.writev(fd, [(i + "\n").encode() for i in ids])
os.close(fd)`), ""},
	{"python fsync", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
os.write(fd, "\n".join(ids).encode())
os.fsync(fd)
assert len(os.listdir()) == before + 1
os.close(fd)`), ""},
	{"python dup", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
copy = os.dup(fd)
os.write(fd, ids[0].encode() + b"\n")
os.close(fd)
os.write(copy, ids[1].encode())
os.close(copy)`), ""},
	{"python fork", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
os.write(fd, ids[0].encode() + b"\n")
if os.fork() == 0:
    os.write(fd, ids[1].encode())
    os._exit(0)
os.wait()
os.close(fd)`), ""},
	{"python subprocess", "python3", python3(`
with open("new", "w") as f:
    for i in ids: subprocess.run(["echo", i], stdout=f, check=True)`), ""},
	{"python thread", "python3", python3(`
def write():
    with open("new", "w") as f:
        for i in ids: print(i, file=f, flush=True)
t = threading.Thread(target=write)
t.start()
t.join()
assert len(os.listdir()) == before + 1`), ""},
	{"python threads", "python3", python3(`
f = open("new", "w")
for i in ids:
    t = threading.Thread(target=lambda: print(i, file=f, flush=True))
    t.start()
    t.join()
t = threading.Thread(target=f.close)
t.start()
t.join()
assert len(os.listdir()) == before + 1`), ""},
	{"python read-write", "python3", python3(`
fd = os.open("new", os.O_RDWR)
os.write(fd, "\n".join(ids).encode())
id = os.read(fd, 100).decode().strip()
assert os.path.isdir(id), id
os.close(fd)`), ""},
	{"python seek and read", "python3", python3(`
with open("new", "r+b", buffering=0) as f:
    f.write("\n".join(ids).encode())
    f.seek(0)
    id = f.read().decode().strip()
    assert os.path.isdir(id), id`), ""},
	{"python truncate", "python3", python3(`
with open("new", "w") as f:
    f.truncate(0)
    f.write("\n".join(ids))`), ""},
	{"python exit without close", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
os.write(fd, "\n".join(ids).encode())
os._exit(0)`), ""},
	{"python passed to another process", "python3", python3(`
fd = os.open("new", os.O_WRONLY)
a, b = socket.socketpair()
if os.fork() == 0:
    os.close(fd)
    fd = socket.recv_fds(b, 1, 1)[1][0]
    os.write(fd, "\n".join(ids).encode())
    os.close(fd)
    os._exit(0)
socket.send_fds(a, [b"x"], [fd])
os.close(fd)
os.wait()`), ""},
}

func python3(program string) string {
	return "python3 - $a $b <<'EOF'\nimport os, socket, subprocess, sys, threading\nids = sys.argv[1:]\n" +
		"before = len(os.listdir())\n" + program + "\nEOF"
}

// form is a list as text: {a} stands for a node id, {A} for the path of its node.
type form struct{ name, text, want string }

var forms = []form{
	{"spaces", "{a} {b}", "ab"},
	{"tabs and blank lines", "\n\t{a}\t\t{b}\n\n", "ab"},
	{"commas", "{a},{b}, {c} ,{d},", "abcd"},
	{"no newline at the end", "{a}\n{b}", "ab"},
	{"CRLF", "{a}\r\n{b}\r\n", "ab"},
	{"CRLF paths", "/{A}\r\n/{C}\r\n", "ac"},
	{"byte order mark", "\uFEFF{a}\r\n{b}\r\n", "ab"},
	{"comments", "# the report\n{a} # it\n   # nothing here\n#{c}\n{b}\n# {c} {d}", "ab"},
	{"duplicates", "{a}\n{b}\n{a}\n{a} {b}\n", "ab"},
	{"duplicates of other forms", "{b}\nworkspace://SpacesStore/{b}\n/{B}\n{a}\n{b};1.0\nhttp://x/?nodeRef=workspace://SpacesStore/{b}\n", "ba"},
	{"order", "{d}\n{b}\n{c}\n{a}\n", "dbca"},
	{"version", "{a};1.0\n{b};2.13\n", "ab"},
	{"JSON", `{"nodeIds":["{a}","{b}"]}`, "ab"},
	{"JSON on lines", "{\r\n  \"nodeIds\": [\r\n    \"{a}\",\r\n    \"{b}\"\r\n  ]\r\n}\r\n", "ab"},
	{"JSON of one", `{"nodeIds": "{c}"}`, "c"},
	{"JSON of other forms", `{"nodeIds":["workspace://SpacesStore/{a}","http://x/?nodeRef=workspace://SpacesStore/{b}","/{C}"]}`, "abc"},
	{"JSON with escapes", `{"nodeI\u0064s":["workspace:\/\/SpacesStore\/{a}"]}`, "a"},
	{"JSON with duplicates", `{"nodeIds":["{a}","{b}","{a}"]}`, "ab"},
	{"NodeRefs", "workspace://SpacesStore/{a}\nworkspace://SpacesStore/{b},workspace://SpacesStore/{c}", "abc"},
	{"Share's link", "https://share.example.com/share/page/document-details?nodeRef=workspace://SpacesStore/{a}\n{b}", "ab"},
	{"Share's link escaped", "https://x/share/page/site/press/document-details?nodeRef=workspace%3A%2F%2FSpacesStore%2F{a}&x=y", "a"},
	{"the content app's link", "http://x/#/libraries/{b}/(viewer:view/{a})?location=%2Flibraries", "a"},
	{"REST links", "http://x/alfresco/api/-default-/public/alfresco/versions/1/nodes/{a}/content?attachment=true\nhttp://x/nodes/{b}", "ab"},
	{"proxy's link", "http://x/alfresco/s/api/node/content/workspace/SpacesStore/{a}/report.txt", "a"},
	{"path", "/{A}\n", "a"},
	{"paths with anything in them", "/{C}\n  /{B}  \n-root-/{A}", "cba"},
	{"path of one's home", "-my-/admin.txt", "d"},
	{"all at once", "# all\r\n{a},workspace://SpacesStore/{b}\r\n\r\n/{C}\r\n-my-/admin.txt\r\n{a}\r\n", "abcd"},
}

// lists is a mount on which lists are written, and what must have come of it.
type lists struct {
	server *harness.Server
	mount  *harness.Mount
	ids    map[string]string // asked's names → node ids
	dir    string            // of the files that scripts use
	known  map[string][]string
	posts  int // requests to create a download, as the server counts them
}

// startLists serves dir and mounts that.
func startLists(t *testing.T, o harness.MountOptions, dir string) *lists {
	t.Helper()
	s := harness.StartServer(t, dir)
	m := harness.StartMount(t, s, o)
	return &lists{server: s, mount: m, dir: harness.Dir(t, harness.User{}), known: make(map[string][]string)}
}

// startAsked is startLists on a server that has the files of asked.
func startAsked(t *testing.T, o harness.MountOptions) *lists {
	t.Helper()
	dir := harness.Samples(t)
	harness.Tree(t, dir, map[string]string{asked["c"]: "an odd name\n"})
	l := startLists(t, o, dir)
	l.ids = make(map[string]string)
	for name, path := range asked {
		l.ids[name] = l.server.NodeID(t, path)
	}
	harness.Tree(t, l.dir, map[string]string{
		"list":  l.ids["a"] + "\n" + l.ids["b"] + "\n",
		"lista": l.ids["a"] + "\n", "listb": l.ids["b"] + "\n",
	})
	return l
}

// files are the paths of asked's names.
func files(names string) []string {
	var paths []string
	for _, name := range names {
		paths = append(paths, asked[string(name)])
	}
	return paths
}

// fill replaces the placeholders of a form.
func (l *lists) fill(text string) string {
	for name, path := range asked {
		text = strings.NewReplacer("{"+name+"}", l.ids[name], "{"+strings.ToUpper(name)+"}", path).Replace(text)
	}
	return text
}

// command is a script to be run in downloads/ by a shell, with asked's ids and
// the files of l.dir as its variables.
func (l *lists) command(shell, script, stdin string) harness.Cmd {
	words := strings.Fields(shell)
	args := append(words[1:], "-c", "cd \"$1\" && a=$2 b=$3 c=$4 d=$5 list=$6/list lista=$6/lista listb=$6/listb || exit\n"+script,
		words[0], l.mount.Downloads, l.ids["a"], l.ids["b"], l.ids["c"], l.ids["d"], l.dir)
	return harness.Cmd{User: l.mount.User, Name: words[0], Args: args, Stdin: strings.NewReader(stdin)}
}

// run runs a script as command describes it.
func (l *lists) run(t *testing.T, shell, script, stdin string) harness.Result {
	t.Helper()
	return l.command(shell, script, stdin).Run(t)
}

// asks runs a script that writes one list. When it has ended, exactly one
// download must have been asked for and its entry be there; want are the files
// that finish looks for in it.
func (l *lists) asks(t *testing.T, shell, script, stdin string, want []string) {
	t.Helper()
	r := l.run(t, shell, script+"\ncode=$?\necho; echo '-- downloads:'; ls -1; exit $code", stdin)
	_, listing, ok := strings.Cut(r.OK(t).Stdout, "-- downloads:\n")
	require.True(t, ok, "%s", r)
	assert.Empty(t, r.Stderr)
	var added []string
	for _, name := range strings.Fields(listing) {
		if _, known := l.known[name]; !known && name != "new" {
			added = append(added, name)
			l.known[name] = nil
		}
	}
	l.assertPosts(t, 1)
	require.Len(t, added, 1, "entries that are new when the command has returned")
	l.known[added[0]] = want
	assert.Equal(t, added[0], l.mount.Sh(t, "cat new").Out(t), "what new tells")
}

// assertPosts fails unless the server was asked for n more downloads.
func (l *lists) assertPosts(t *testing.T, n int) {
	t.Helper()
	count, ok := l.server.Stats(t)["create"].(float64)
	require.True(t, ok, "no such counter")
	assert.Equal(t, n, int(count)-l.posts, "requests to create a download")
	l.posts = int(count)
}

// finish checks that every download holds the files asked for, in order, and
// that none was asked for since.
func (l *lists) finish(t *testing.T) {
	t.Helper()
	l.assertPosts(t, 0)
	out := harness.Dir(t, l.mount.User)
	copies := l.mount.Cmd(`for d in */; do d=${d%/}; cp "$d/archive.zip" "` + out + `/$d.zip" || exit; cp "$d/nodes" "` + out + `/$d.nodes" || exit; done`)
	copies.Timeout = time.Minute
	copies.Run(t).OK(t)
	for id, want := range l.known {
		if want == nil {
			continue // its test has failed
		}
		fetch(t, l.server, id).assertCopy(t, filepath.Join(out, id+".zip"))
		zip, err := os.ReadFile(filepath.Join(out, id+".zip"))
		require.NoError(t, err)
		var entries []zipEntry
		for _, path := range want {
			content, err := os.ReadFile(filepath.Join(l.server.Dir, path))
			require.NoError(t, err)
			entries = append(entries, zipEntry{filepath.Base(path), string(content)})
		}
		if got := zipEntries(t, zip); !slices.Equal(entries, got) {
			assert.Fail(t, "wrong archive", "%s: %s instead of %s", id, archive{entries: got}.sums(), archive{entries: entries}.sums())
		}
		nodes, err := os.ReadFile(filepath.Join(out, id+".nodes"))
		require.NoError(t, err)
		assert.Len(t, strings.Fields(string(nodes)), len(want))
	}
}

// TestNewFromShells: however a shell writes a list, the list is one download,
// which exists when the command has returned.
// Proves S-2.
func TestNewFromShells(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u})
		for i, shell := range []string{"dash", "bash"} {
			for j, w := range shellWays {
				if !harness.InShare(t, i+j+u.Row(), shell+" "+w.name) {
					continue
				}
				t.Run(shell+" "+w.name, func(t *testing.T) {
					w.lost(t)
					l.asks(t, shell, w.script, "", files("ab"))
				})
			}
		}
		l.finish(t)
	})
}

// TestNewFromPrograms: so it is with programs that open new themselves, copy
// descriptors, fork, or use threads.
// Proves S-2, S-123.
func TestNewFromPrograms(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u})
		for i, w := range programWays {
			if !harness.InShare(t, i+u.Row(), w.name) {
				continue
			}
			t.Run(w.name, func(t *testing.T) {
				harness.Tool(t, w.need)
				w.lost(t)
				l.asks(t, "sh", w.script, "", files(cmp.Or(w.want, "ab")))
			})
		}
		l.finish(t)
	})
}

// TestNewForms: every form of a list, written at once and byte by byte.
// Proves S-1.
func TestNewForms(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u})
		for i, f := range forms {
			if !harness.InShare(t, i+u.Row(), f.name) {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				l.asks(t, "sh", "cat > new", l.fill(f.text), files(f.want))
				l.asks(t, "sh", "dd bs=1 of=new status=none", l.fill(f.text), files(f.want))
			})
		}
		t.Run("as long as may be", func(t *testing.T) {
			l.asks(t, "sh", "cat > new", longList(l.ids["a"], 4<<20), files("a"))
		})
		l.finish(t)
	})
}

// longList is a list of one id and comments, of n bytes.
func longList(id string, n int) string {
	line := "# " + strings.Repeat("x", 97) + "\n"
	list := id + "\n" + strings.Repeat(line, n/len(line)+1)
	return list[:n]
}

// thousands is how many ids a long list has.
const thousands = 5000

// TestNewThousands: lists of 5,000 ids, which take many writes.
// Proves S-4.
func TestNewThousands(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		dir := harness.Dir(t, harness.User{})
		tree := make(map[string]string)
		for i := range thousands {
			tree[fmt.Sprintf("many/file-%04d.txt", i)] = fmt.Sprintf("this is file %d\n", i)
		}
		harness.Tree(t, dir, tree)
		l := startLists(t, harness.MountOptions{User: u}, dir)
		paths, ids := l.many(t)
		object, err := json.Marshal(map[string][]string{"nodeIds": ids})
		require.NoError(t, err)
		list := strings.Join(ids, "\n") + "\n"
		twice := strings.ReplaceAll(list+list, "\n", "\r\n")
		harness.Tree(t, l.dir, map[string]string{"list": list, "twice": twice})
		for _, w := range []struct{ name, script, stdin string }{
			{"loop", `while read -r id; do echo $id; done < "$list" > new`, ""},
			{"JSON", `cat > new`, string(object)},
			{"CRLF, each twice", `cp "${list%list}twice" new`, ""},
		} {
			t.Run(w.name, func(t *testing.T) { l.asks(t, "sh", w.script, w.stdin, paths) })
		}
		l.finish(t)
	})
}

// many returns the files in the folder "many" and their node ids, in an order
// that is not the folder's.
func (l *lists) many(t *testing.T) (paths, ids []string) {
	t.Helper()
	type entry struct{ Entry struct{ ID, Name string } }
	var entries []entry
	for more := true; more; {
		code, body := l.server.Core(t, "GET", fmt.Sprintf("/nodes/-root-/children?relativePath=many&maxItems=1000&skipCount=%d&fields=id,name", len(entries)), nil)
		require.Equal(t, http.StatusOK, code, "%.1000s", body)
		var answer struct {
			List struct {
				Pagination struct{ HasMoreItems bool }
				Entries    []entry
			}
		}
		require.NoError(t, json.Unmarshal(body, &answer))
		entries = append(entries, answer.List.Entries...)
		more = answer.List.Pagination.HasMoreItems
	}
	require.Equal(t, thousands, len(entries))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries {
		paths, ids = append(paths, "many/"+e.Entry.Name), append(ids, e.Entry.ID)
	}
	return paths, ids
}
