package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// crashPatience is how long a driver waits for a state.
const crashPatience = 30 * time.Second

// crashDriver makes system calls in a mount and tells of each as soon as it has
// returned: what was told had happened before whatever came next. It begins when
// it is told what to do, and ends with the first error; or, to go on, it leaves
// only the download alone that the error was about.
const crashDriver = `
import errno, hashlib, io, json, os, sys, time, zipfile

base, patience = sys.argv[1], float(sys.argv[2])

def say(*what):
    os.write(1, (json.dumps(what) + "\n").encode())

def whole(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1 << 17):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)

def status(at):
    return json.loads(whole(at + "/status.json"))

def contents(archive):
    z = zipfile.ZipFile(io.BytesIO(archive))
    h = hashlib.md5()
    for name in sorted(n for n in z.namelist() if not n.endswith("/")):
        h.update(name.encode() + b"\0" + hashlib.md5(z.read(name)).digest())
    return h.hexdigest()

def create(o):
    fd = os.open(base + "/new", os.O_RDWR)
    try:
        os.write(fd, o["list"].encode())
        return os.read(fd, 200).decode().strip()
    finally:
        os.close(fd)

def part(path, where):
    fd = os.open(path, os.O_RDONLY)
    try:
        off = int(os.fstat(fd).st_size * where)
        return [off, hashlib.md5(os.pread(fd, 100000, off)).hexdigest()]
    finally:
        os.close(fd)

def poll(at, ok):
    end = time.monotonic() + patience
    while not ok(status(at)):
        if time.monotonic() > end:
            raise OSError(errno.ETIMEDOUT, "not within %d s" % patience)
        time.sleep(0.002)

def survey():
    found = []
    for name in sorted(os.listdir(base)):
        if name != "new":
            at = base + "/" + name
            s = status(at)
            s["at"], s["nodes"] = name, whole(at + "/nodes").decode().split()
            found.append(s)
    return found

def run(o, names):
    op, key = o["op"], o.get("key")
    if op == "survey":
        return survey()
    if op == "create":
        names[key] = id = create(o)
        return id
    if op == "adopt":
        os.mkdir(base + "/" + o["name"])
        names[key] = o["name"]
        return
    at = base + "/" + names[key]
    if op == "read":
        archive = whole(at + "/archive.zip")
        return [len(archive), hashlib.md5(archive).hexdigest(), contents(archive)]
    if op == "part":
        return part(at + "/archive.zip", o["where"])
    if op == "rename":
        name = o["name"] or id_of(at)
        os.rename(at, base + "/" + name)
        names[key] = name
    elif op in ("cancel", "drop"):
        os.unlink(at + "/archive.zip")
    elif op == "remove":
        os.rmdir(at)
    elif op == "done":
        poll(at, lambda s: s["status"] == "DONE")
    elif op == "fetch":
        poll(at, lambda s: s["cachedBytes"] == s.get("archiveSize", -1))
    else:
        raise ValueError(op)

def id_of(at):
    return status(at)["id"]

say("ready")
todo = json.loads(sys.stdin.readline() or "{}")
names = {int(key): name for key, name in (todo.get("names") or {}).items()}
failed = set()
for o in todo.get("ops") or []:
    try:
        if o["key"] in failed:
            say("skipped", time.time(), None)
        else:
            say("ok", time.time(), run(o, names))
    except OSError as e:
        say(errno.errorcode[e.errno], time.time(), str(e))
        if not todo.get("goOn"):
            break
        failed.add(o["key"])
`

// crashOp is one thing for a driver to do.
type crashOp struct {
	Op    string  `json:"op"`
	Key   int     `json:"key"`             // of the download it is about
	Name  string  `json:"name"`            // rename to, "" for the id; adopt: the id
	List  string  `json:"list,omitempty"`  // create: what to ask for
	Where float64 `json:"where,omitempty"` // part: from where in the archive, 0 to 1
}

// crashAnswer is what a driver tells of one.
type crashAnswer struct {
	Errno  string // "ok" if none
	At     time.Time
	Result json.RawMessage
}

func (a *crashAnswer) UnmarshalJSON(text []byte) error {
	var line [3]json.RawMessage
	var seconds float64
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	a.Result = line[2]
	err := errors.Join(json.Unmarshal(line[0], &a.Errno), json.Unmarshal(line[1], &seconds))
	a.At = time.UnixMicro(int64(seconds * 1e6))
	return err
}

// crashProcess is a driver that was started.
type crashProcess struct {
	*harness.Process
	begin *io.PipeWriter
}

// startDriver starts a driver, which waits for its orders.
func startDriver(t testing.TB, m *harness.Mount) *crashProcess {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return &crashProcess{harness.Cmd{
		User: m.User, Stdin: r, Timeout: 4 * time.Minute,
		Name: "python3", Args: []string{"-c", crashDriver, m.Downloads, fmt.Sprint(harness.Scaled(crashPatience).Seconds())},
	}.Start(t), w}
}

// order tells the driver what to do, once it is ready.
func (p *crashProcess) order(t testing.TB, names map[int]string, ops []crashOp, goOn bool) {
	t.Helper()
	harness.Eventually(t, harness.Timeout, func() bool { return p.Output() != "" || !p.Running() }, "the driver does not start")
	text, err := json.Marshal(map[string]any{"names": names, "ops": ops, "goOn": goOn})
	require.NoError(t, err)
	_, err = p.begin.Write(append(text, '\n'))
	require.NoError(t, err)
	require.NoError(t, p.begin.Close())
}

// answers waits for the driver's end and returns what it has told of its ops,
// from the first on.
func (p *crashProcess) answers(t testing.TB) []crashAnswer {
	t.Helper()
	r := p.Wait()
	require.Zero(t, r.Code, "the driver failed, after telling %s: %s", r.Stdout, r.Stderr)
	var answers []crashAnswer
	lines := bufio.NewScanner(strings.NewReader(r.Stdout))
	lines.Buffer(nil, 1<<24)
	for first := true; lines.Scan(); first = false {
		if first {
			continue // "ready"
		}
		var a crashAnswer
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a), "%s", lines.Text())
		answers = append(answers, a)
	}
	require.NoError(t, lines.Err())
	return answers
}

// drive does ops in the model's mount, which stays alive.
func (c *crashModel) drive(t testing.TB, names map[int]string, ops ...crashOp) []crashAnswer {
	t.Helper()
	p := startDriver(t, c.mount)
	p.order(t, names, ops, false)
	select {
	case <-p.Done():
	case <-time.After(harness.Scaled(crashPatience + 10*time.Second)):
		here := c.mount.Sh(t, "head -n 3 */status").Stdout
		there := map[string]string{}
		for _, d := range c.items {
			there[d.id] = c.server.Status(t, d.id)
		}
		require.FailNow(t, "the mount hangs", "%v\ntold: %s\nhere: %s\non the server: %v\nits stacks:\n%s",
			ops, p.Output(), here, there, c.mount.Dump(t).Stacks)
	}
	answers := p.answers(t)
	for i, a := range answers {
		require.Equal(t, "ok", a.Errno, "%+v of %+v: %s", ops[i], c.items[ops[i].Key], a.Result)
	}
	require.Len(t, answers, len(ops))
	return answers
}
