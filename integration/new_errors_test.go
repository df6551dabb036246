package integration

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

// unknown is a node id that no server has.
const unknown = "00000000-0000-4000-8000-000000000000"

// where writes standard input to new and prints which call failed, and how. Its
// argument is the call that ends the list.
const where = `python3 -c '
import errno, os, sys
end = sys.argv[1]
def call(name, f):
    try:
        f()
    except OSError as e:
        print(name, errno.errorcode[e.errno])
fd = os.open("new", (os.O_RDWR if end == "read" else os.O_WRONLY) | os.O_CREAT | os.O_TRUNC, 0o644)
def write():
    list = sys.stdin.buffer.read()
    while list: list = list[os.write(fd, list):]
call("write", write)
if end == "fsync": call("fsync", lambda: os.fsync(fd))
if end == "read": call("read", lambda: os.read(fd, 1000))
call("close", lambda: os.close(fd))
print("done")
' `

// refusal is a list that is refused, or that asks for nothing.
type refusal struct {
	name, list string
	fails      string // the call and its errno; "" when nothing fails
	tells      string // what new then tells of it
	posts      int    // requests to create a download
}

// asks is how often the server is asked for what it says that it does not have, or
// that this user may not have: a node of a cluster could be behind the others.
const asks = 3

var refusals = []refusal{
	{"malformed", "nonsense\n", "write EINVAL", "nonsense", 0},
	{"malformed at the end", "{a}\n{b}\nnonsense\n", "write EINVAL", "line 3", 0},
	{"half an id", "{a}\n1a2b3c4d", "close EINVAL", "line 2", 0},
	{"an option", "--help\n", "write EINVAL", "--help", 0},
	{"another store", "archive://SpacesStore/{a}\n", "write EINVAL", "SpacesStore", 0},
	{"a URL of nothing", "http://x/y\n", "write EINVAL", "http://x/y", 0},
	{"a working copy", "{a};pwc\n", "write EINVAL", "pwc", 0},
	{"an alias in a line", "{a} -root-\n", "write EINVAL", "line", 0},
	{"a NUL", "{a}\x00\n", "write EINVAL", "NUL", 0},
	{"not UTF-8", "/caf\xe9\n", "write EINVAL", "UTF-8", 0},
	{"a program", "\x7fELF\x02\x01\x01\x00\x00\x00", "write EINVAL", "line 1", 0},
	{"JSON of another kind", `{"ids": ["{a}"]}`, "write EINVAL", "nodeIds", 0},
	{"JSON with more", `{"nodeIds": ["{a}"], "x": 1}`, "write EINVAL", "nodeIds", 0},
	{"a JSON array", `["{a}"]`, "write EINVAL", "", 0},
	{"half a JSON object", `{"nodeIds": ["{a}"`, "close EINVAL", "not complete", 0},
	{"text after a JSON object", `{"nodeIds": ["{a}"]} {a}`, "write EINVAL", "JSON", 0},
	{"unknown", unknown + "\n", "close ENOENT", "not found", asks},
	{"unknown among others", "{a}\n" + unknown + "\n{b}\n", "close ENOENT", "not found", asks},
	{"unknown path", "/no/such/path\n", "close ENOENT", "/no/such/path", 0},
	{"unknown path among others", "{a}\n/no/such/path\n{b}\n", "close ENOENT", "/no/such/path", 0},
	{"forbidden", "{d}\n", "close EACCES", "", asks},
	{"forbidden among others", "{a}\n{b}\n{d}\n", "close EACCES", "", asks},
	{"forbidden path", "/{D}\n", "close ENOENT", "admin.txt", 0},
	{"too long", "", "write EFBIG", "longer than 4 MiB", 0},
	{"empty", "", "", "", 0},
	{"blank", " \n\r\n\t,\n", "", "", 0},
	{"comments only", "# {a}\n  # {b}", "", "", 0},
	{"JSON of nothing", `{"nodeIds": []}`, "", "", 0},
}

// text returns the list of r.
func (r refusal) text(l *lists) string {
	if r.name == "too long" {
		return longList(l.ids["a"], 4<<20+1)
	}
	return l.fill(r.list)
}

// assertRefused fails unless new tells of the refusal, the server was asked as
// often as it should, and nothing is left behind.
func (l *lists) assertRefused(t *testing.T, r refusal) {
	t.Helper()
	l.assertPosts(t, r.posts)
	assert.Empty(t, l.mount.List(t), "left behind")
	tells := l.mount.Sh(t, "cat new").OK(t).Stdout
	if r.fails == "" {
		return
	}
	assert.Regexp(t, `^error: [^\n]+\n$`, tells)
	assert.Contains(t, tells, r.tells)
}

// TestNewRefuses: each thing that can be wrong with a list fails the call that
// finds it, with its errno; new tells it in a sentence; nothing is left behind,
// and the next list is none the worse for it.
// Proves S-5.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u, Username: harness.UserName})
		for _, r := range refusals {
			t.Run(r.name, func(t *testing.T) {
				for _, end := range []string{"close", "fsync", "read"} {
					call, errno, _ := strings.Cut(r.fails, " ")
					want := "done\n"
					if errno != "" {
						want = end + " " + errno + "\n" + want
					}
					if call == "write" {
						want = r.fails + "\n" + want
					}
					assert.Equal(t, want, l.run(t, "sh", where+end, r.text(l)).OK(t).Stdout)
					l.assertRefused(t, r)
				}
			})
		}
		l.asks(t, "sh", "cat > new", l.fill("{a} {b}"), files("ab"))
		l.finish(t)
	})
}

// noticers are programs that write the file $list to new and look at what close
// says.
var noticers = []way{
	{"cp", "cp", `cp "$list" new`, ""},
	{"busybox cp", "busybox", `busybox cp "$list" new`, ""},
	{"tee", "tee", `tee new < "$list" >/dev/null`, ""},
	{"tee -a", "tee", `tee -a new < "$list" >/dev/null`, ""},
	{"dd", "dd", `dd if="$list" of=new status=none`, ""},
	{"dd conv=fsync", "dd", `dd if="$list" of=new conv=fsync status=none`, ""},
	{"sort", "sort", `sort -m -o new "$list"`, ""},
	{"python", "python3", `python3 -c '
import sys
with open("new", "w") as f: f.write(open(sys.argv[1]).read())' "$list"`, ""},
	{"perl", "perl", `perl -e 'open(F, ">", "new") or die; print F <>; close(F) or die "$!\n"' "$list"`, ""},
}

// deaf are ways that do not: a shell closes what it has opened without looking,
// and dash opens new itself even for a program. What fails a write they report.
var deaf = []way{
	{"cat", "", `cat "$list" > new`, ""},
	{"echo", "", `echo $(cat "$list") > new`, ""},
	{"printf", "", `printf '%s\n' $(cat "$list") > new`, ""},
	{"group", "", `{ cat "$list"; } > new`, ""},
	{"exec 3>", "", `exec 3> new; cat "$list" >&3; code=$?; exec 3>&-; (exit $code)`, ""},
}

// TestNewRefusesTools: tools fail when their list is refused, and say why; where
// a shell does not look, new tells.
// Proves S-6.
func TestNewRefusesTools(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u, Username: harness.UserName})
		for _, r := range []struct {
			refusal
			says string
		}{
			{refusal{"malformed", "{a}\nnonsense\n", "write", "nonsense", 0}, "Invalid argument"},
			{refusal{"unknown", unknown + "\n", "close", "not found", asks}, "No such file or directory"},
			{refusal{"forbidden", "{d}\n", "close", "", asks}, "Permission denied"},
		} {
			harness.Tree(t, l.dir, map[string]string{"list": l.fill(r.list)})
			for _, w := range noticers {
				t.Run(r.name+" "+w.name, func(t *testing.T) {
					harness.Tool(t, w.need)
					out := l.run(t, "sh", w.script, "")
					assert.NotZero(t, out.Code, "%s", out)
					assert.Contains(t, out.Stderr, r.says)
					l.assertRefused(t, r.refusal)
				})
			}
			for _, shell := range []string{"dash", "bash"} {
				for _, w := range deaf {
					t.Run(r.name+" "+shell+" "+w.name, func(t *testing.T) {
						out := l.run(t, shell, w.script, "")
						if r.fails == "write" {
							assert.NotZero(t, out.Code, "%s", out)
							assert.NotEmpty(t, out.Stderr)
						}
						l.assertRefused(t, r.refusal)
					})
				}
			}
		}
	})
}

// TestNewStays: new cannot be removed, renamed or replaced.
// Proves S-12.
func TestNewStays(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u})
		l.asks(t, "sh", "cat > new", l.fill("{a} {b}"), files("ab"))
		before := l.mount.Sh(t, "ls -iA; cat new").Out(t)
		for _, script := range []string{
			`rm new`, `rm -f new`, `unlink new`, `rmdir new`, `mkdir new`, `mv new old`, `mv new ..`,
			`mv -T "$(cat new)" new`, `ln "$lista" new`,
		} {
			t.Run(script, func(t *testing.T) {
				assert.NotZero(t, l.run(t, "sh", script, "").Code)
				assert.Equal(t, before, l.mount.Sh(t, "ls -iA; cat new").Out(t))
				assert.FileExists(t, filepath.Join(l.dir, "lista"))
			})
		}
		for _, call := range []string{`os.rename("new", "old")`, `os.rename("new", "../new")`} {
			out := l.run(t, "sh", `python3 -c 'import errno, os
try: `+call+`
except OSError as e: print(errno.errorcode[e.errno])'`, "")
			assert.Equal(t, "EPERM", out.Out(t), call)
		}
		l.finish(t)
	})
}

// TestNewGivenUp: a list asks for nothing when its writer is ended by a signal
// before it has closed new.
// Proves S-8.
func TestNewGivenUp(t *testing.T) {
	t.Parallel()
	harness.Lost(t, "the list of a writer that a signal ends is asked for")
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		l := startAsked(t, harness.MountOptions{User: u, Allow: []string{"a request list was given up", "a request list was refused after"}})
		for _, script := range []string{
			`{ cat "$lista"; echo written >&9; sleep 30; cat "$listb"; } > new`,
			`exec 3> new; cat "$lista" >&3; echo written >&9; sleep 30; cat "$listb" >&3`,
			`{ cat "$lista"; echo written >&9; sleep 30; } | cat > new`,
			`exec python3 -u -c 'import os, sys, time
fd = os.open("new", os.O_WRONLY)
os.write(fd, sys.argv[1].encode())
print("written")
time.sleep(30)' $a`,
		} {
			for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
				t.Run(sig.String()+" "+script, func(t *testing.T) {
					p := l.command("sh", "exec 9>&1\n"+script, "").Start(t)
					harness.Eventually(t, harness.Timeout, func() bool { return p.Output() != "" || !p.Running() }, "nothing written")
					p.Signal(t, sig)
					assert.NotZero(t, p.Wait().Code)
					harness.Eventually(t, harness.Timeout, func() bool {
						return strings.HasPrefix(l.mount.Sh(t, "cat new").OK(t).Stdout, "error: ")
					}, "new does not tell")
					l.assertPosts(t, 0)
					assert.Empty(t, l.mount.List(t))
				})
			}
		}
		l.asks(t, "sh", "cat > new", l.fill("{a} {b}"), files("ab"))
		l.finish(t)
	})
}
