package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// account is the administrator's environment, with a state directory of its own.
func account(t *testing.T, u harness.User) []string {
	t.Helper()
	return []string{
		"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword,
		"DOWNLOADFS_CONFIG=/dev/null", "DOWNLOADFS_STATE_DIR=" + harness.Dir(t, u), "SHELL=/bin/sh", "TERM=xterm",
	}
}

// Proves S-159, S-234.
func TestGet(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	u := harness.Ordinary(t)
	env, dir := account(t, u), harness.Dir(t, u)
	get := func(args ...string) harness.Result {
		return harness.Cmd{User: u, Env: env, Dir: dir, Name: harness.Binary(), Args: append([]string{"get", "--server", s.URL}, args...)}.Run(t)
	}
	in := func(script string) string { return harness.ShAs(t, u, "cd "+dir+" && "+script).Out(t) }

	// Named after what it is, twice under two names.
	r := get("/" + library + "/report.txt").OK(t)
	assert.Contains(t, r.Stderr, "saved report.txt.zip")
	get("/" + library + "/report.txt").OK(t)
	assert.Equal(t, "report.txt (1).zip\nreport.txt.zip", in("ls -A"), "something else was left")
	assert.Equal(t, "13000", in("unzip -p 'report.txt (1).zip' | wc -c"))

	// To a file, to standard output, unpacked.
	get("-o", "out.zip", "/"+library).OK(t)
	in("unzip -tq out.zip")
	r = get("-o", "-", s.NodeID(t, photos)).OK(t)
	require.NoError(t, os.WriteFile(filepath.Join(harness.Dir(t, harness.User{}), "x"), []byte(r.Stdout), 0o600))
	assert.True(t, strings.HasPrefix(r.Stdout, "PK\x03\x04"))
	// A device or a pipe takes the zip; it is not replaced by a file.
	in("mkfifo pipe; cat pipe > piped.zip 2>/dev/null <&- &")
	get("-o", "pipe", "/"+library).OK(t)
	in("test -p pipe && rm pipe && while ! unzip -tq piped.zip; do sleep 0.1; done")
	// Standard output that takes nothing is told, and is told first.
	asked := s.Stats(t)["create"]
	for to, says := range map[string]string{">&-": "which is closed; name a file", "1<>/dev/null": "which is closed; name a file", ">/dev/full": "cannot write to standard output: no space left on device"} {
		r := harness.Cmd{User: u, Env: env, Dir: dir, Name: "sh", Args: []string{"-c", "exec " + harness.Binary() + " get --server " + s.URL + " -o - /" + library + "/report.txt " + to}}.Run(t)
		assert.NotZero(t, r.Code, "%s: %s", to, r)
		assert.Contains(t, r.Stderr, says, to)
	}
	assert.Equal(t, asked.(float64)+1, s.Stats(t)["create"], "the server has zipped for a closed output")
	harness.Cmd{User: u, Env: env, Dir: dir, Name: "sh", Args: []string{"-c", harness.Binary() + " get --server " + s.URL + " -o - /" + library + "/report.txt >/dev/null"}}.Run(t).OK(t)
	// A link stays, and so do the permissions of what is replaced. The name of standard
	// output is no file.
	in("echo old >kept.zip && chmod 600 kept.zip && ln -s kept.zip link.zip")
	get("-o", "link.zip", "/"+library+"/report.txt").OK(t)
	assert.Equal(t, "kept.zip 600", in("unzip -tq kept.zip >&2; echo $(readlink link.zip) $(stat -c %a kept.zip)"))
	for _, name := range []string{"/dev/stdout", "/proc/self/fd/1"} {
		harness.Cmd{User: u, Env: env, Dir: dir, Name: "sh", Args: []string{"-c", harness.Binary() + " get --server " + s.URL + " -o " + name + " /" + library + "/report.txt >std.zip"}}.Run(t).OK(t)
		in("unzip -tq std.zip && test -L /dev/stdout")
	}

	r = get("--extract", "unpacked", "/"+photos).OK(t)
	assert.Contains(t, r.Stderr, "9 files unpacked into unpacked")
	assert.Equal(t, "9", in("find unpacked -type f | wc -l"))

	// JSON.
	r = get("--json", "-o", "j.zip", "/"+library+"/report.txt").OK(t)
	var last map[string]any
	for line := range strings.Lines(r.Stderr) {
		last = nil
		require.NoError(t, json.Unmarshal([]byte(line), &last), line)
	}
	assert.Equal(t, "done", last["phase"])
	assert.Equal(t, "j.zip", last["file"])

	// Nothing is left on the server, and what cannot be had is told in one line.
	assert.Equal(t, s.Stats(t)["create"], s.Stats(t)["delete"], "downloads are left on the server")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"/no/such/path"}, 1, "not found"},
		{[]string{"nonsense"}, 2, "nonsense"},
		{[]string{"-o", "-", "--extract", "x", "/Sites"}, 2, "--extract"},
		{[]string{"-o", "/dev/null", "--extract", "x", "/Sites"}, 2, "--extract"},
		{[]string{"-o", ".", "/Sites"}, 2, "is a directory"},
	} {
		r := get(c.args...)
		assert.Equal(t, c.code, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, c.says)
		assert.Equal(t, 1, strings.Count(r.Stderr, "\n"), r.Stderr)
	}
	r = harness.Cmd{User: u, Env: append(env, "ALFRESCO_PASSWORD=wr0ng"), Dir: dir, Name: harness.Binary(), Args: []string{"get", "--server", s.URL, "/Sites"}}.Run(t)
	assert.Equal(t, 3, r.Code, "%s", r)
}

// killedGet runs a get of photos.zip into dir and kills it when some of the zip has
// arrived.
func killedGet(t *testing.T) (s *harness.Server, g *gate, c harness.Cmd, dir string) {
	t.Helper()
	s = harness.StartServer(t, harness.Samples(t))
	reached := make(chan struct{})
	g = startGate(t, s.URL, gateOptions{each: func(n int64) {
		if n == 3 {
			close(reached)
		}
	}})
	dir = harness.Dir(t, harness.User{})
	c = harness.Cmd{Env: account(t, harness.User{}), Dir: dir, Name: harness.Binary(), Args: []string{"get", "--server", g.url, "-o", "photos.zip", "/" + photos}}
	p := c.Start(t)
	<-reached
	p.Signal(t, syscall.SIGKILL)
	p.Wait()
	return s, g, c, dir
}

// A get that was killed goes on where it was.
// Proves S-159.
func TestGetGoesOn(t *testing.T) {
	t.Parallel()
	s, g, c, dir := killedGet(t)
	before := g.content.Load()
	parts, err := filepath.Glob(dir + "/.photos.zip*.part")
	require.NoError(t, err)
	require.Len(t, parts, 1)
	info, err := os.Stat(parts[0])
	require.NoError(t, err)
	assert.Greater(t, info.Size(), int64(100_000), "nothing had arrived")

	c.Run(t).OK(t)
	harness.Sh(t, "cd "+dir+" && unzip -tq photos.zip && ls -A").OK(t)
	const whole = 1_600_000/gateCut + 1
	assert.Less(t, g.content.Load()-before, int64(whole), "it began again")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "something else was left")
	assert.Equal(t, s.Stats(t)["create"], s.Stats(t)["delete"], "downloads are left on the server")
}

// What an interrupted get had fetched may be damaged, as after a loss of power. Then the
// zip is not called saved, and the same command fetches it again.
// Proves S-159.
func TestGetDamagedPart(t *testing.T) {
	t.Parallel()
	s, _, c, dir := killedGet(t)
	harness.Sh(t, "cd "+dir+" && dd if=/dev/zero of=$(echo .photos.zip*.part) bs=1000 seek=50 count=40 conv=notrunc").OK(t)
	r := c.Run(t)
	assert.Equal(t, 1, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "the same command fetches the zip again")
	assert.Empty(t, harness.Sh(t, "ls -A "+dir).Out(t))
	c.Run(t).OK(t)
	assert.Equal(t, "photos.zip", harness.Sh(t, "cd "+dir+" && unzip -tq photos.zip >&2 && ls -A").Out(t))
	assert.EqualValues(t, 1, s.Stats(t)["create"], "it was zipped again")
}

// A get that is killed while it unpacks leaves no file that is shorter than it should be,
// and the next one leaves no file twice.
// Proves S-159.
func TestGetExtractGoesOn(t *testing.T) {
	t.Parallel()
	samples := harness.Dir(t, harness.User{})
	harness.Sh(t, "mkdir "+samples+"/big && for n in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c 20000000 /dev/urandom >"+samples+"/big/$n.bin; done").OK(t)
	s := harness.StartServer(t, samples)
	env, dir := account(t, harness.User{}), harness.Dir(t, harness.User{})
	c := harness.Cmd{Env: env, Dir: dir, Name: harness.Binary(), Args: []string{"get", "--server", s.URL, "--extract", "out", "/big"}}
	unpacking := func() []string {
		parts, err := filepath.Glob(dir + "/out/big/.downloadfs-*.part")
		require.NoError(t, err)
		return parts
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		started := time.Now()
		p := c.Start(t)
		harness.Eventually(t, harness.Timeout, func() bool {
			// What SIGKILL has left is older.
			return slices.ContainsFunc(unpacking(), func(part string) bool {
				info, err := os.Stat(part)
				return err == nil && info.ModTime().After(started)
			})
		}, "it does not unpack")
		p.Signal(t, sig)
		p.Wait()
		whole, err := filepath.Glob(dir + "/out/big/[0-9]*")
		require.NoError(t, err)
		for _, file := range whole {
			harness.Sh(t, "cmp "+file+" "+samples+"/big/"+filepath.Base(file)).OK(t)
		}
		require.Less(t, len(whole), 12, "it had ended")
	}
	assert.Empty(t, unpacking(), "SIGINT leaves nothing")
	c.Run(t).OK(t)
	harness.Sh(t, "diff -r "+samples+"/big "+dir+"/out/big && ls -A "+dir).OK(t)
	assert.Equal(t, s.Stats(t)["create"], s.Stats(t)["delete"], "downloads are left on the server")
}

// If nobody reads standard output any more, nothing is left, here and on the server. What
// a killed process has left is removed by the next.
// Proves S-159, S-195.
func TestGetToClosedPipe(t *testing.T) {
	t.Parallel()
	inParts := harness.StartServer(t, harness.Samples(t), "--max-content-size", "500K")
	home := harness.Dir(t, harness.User{})
	cached := filepath.Join(home, ".cache", "downloadfs")
	left := filepath.Join(cached, ".downloadfs-direct-1.parts")
	require.NoError(t, os.MkdirAll(filepath.Join(left, "cache"), 0o700))
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(left, old, old))
	for _, s := range []*harness.Server{harness.StartServer(t, harness.Samples(t)), inParts} {
		harness.Cmd{Env: append(account(t, harness.User{}), "HOME="+home), Dir: home, Name: "sh",
			Args: []string{"-c", harness.Binary() + " get --server " + s.URL + " -o - /" + photos + " | head -c 100 >/dev/null"}}.Run(t)
		harness.Eventually(t, harness.Timeout, func() bool { return s.Stats(t)["create"] == s.Stats(t)["delete"] }, "downloads are left on the server")
	}
	harness.Eventually(t, harness.Timeout, func() bool {
		entries, err := os.ReadDir(cached)
		return err == nil && len(entries) == 0
	}, "something is left here")
}

// Of two gets of the same at once, the second says that there is another, and the
// first is not disturbed.
// Proves S-159.
func TestGetTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	reached, goOn := make(chan struct{}), make(chan struct{})
	g := startGate(t, s.URL, gateOptions{each: func(n int64) {
		if n == 3 {
			close(reached)
			<-goOn
		}
	}})
	dir := harness.Dir(t, harness.User{})
	c := harness.Cmd{Env: account(t, harness.User{}), Dir: dir, Name: harness.Binary(), Args: []string{"get", "--server", g.url, "/" + photos}}
	first := c.Start(t)
	<-reached
	second := c.Run(t)
	close(goOn)
	assert.Equal(t, 6, second.Code, "%s", second)
	assert.Equal(t, "downloadfs: another get of the same is running here; wait until it has ended\n", second.Stderr)
	first.Wait()
	harness.Sh(t, "cd "+dir+" && unzip -tq photos.zip").OK(t)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "something else was left")
	assert.EqualValues(t, 1, s.Stats(t)["create"], "the server has zipped twice")
	c.Run(t).OK(t)
}

// On a terminal there is a bar for each of the two phases.
// Proves S-131.
func TestGetOnTerminal(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "1M")
	g := startGate(t, s.URL, gateOptions{})
	dir := harness.Dir(t, harness.User{})
	r := harness.Cmd{
		Env: account(t, harness.User{}), Dir: dir, Name: "script",
		Args: []string{"-qec", "stty cols 120; exec " + harness.Binary() + " get --server " + g.url + " /" + photos, "/dev/null"},
	}.Run(t).OK(t)
	assert.Regexp(t, `\r\[#+\.+\] the server zips: *\d+%, .* of 1\.6 MB, file \d of 9`, r.Stdout)
	assert.Regexp(t, `\r\[#+\.+\] fetching: *\d+%, .* of 1\.6 MB, .*/s, \d+ s left`, r.Stdout)
	assert.Contains(t, r.Stdout, "saved photos.zip (1.6 MB)")
}

// The shell completes paths of the repository.
// Proves S-134.
func TestCompletion(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	env := account(t, harness.User{})
	complete := func(args ...string) []string {
		r := harness.Cmd{Env: env, Name: harness.Binary(), Args: append([]string{"__complete", "get", "--server", s.URL}, args...)}.Run(t).OK(t)
		lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
		return lines[:len(lines)-1] // the last one is for the shell
	}
	assert.Equal(t, []string{"/Sites/"}, complete("/Si"))
	assert.ElementsMatch(t, []string{"/" + library + "/photos/", "/" + library + "/report.txt", "/" + library + "/empty.txt", "/" + library + "/Überblick 2026 Q3.txt"}, complete("/"+library+"/"))
	assert.Empty(t, complete("/nowhere/"))
	// Profiles, and where something is mounted.
	config := configFile(t, harness.User{}, "profiles:\n  work:\n    url: "+s.URL+"\n")
	m := harness.StartMount(t, s, harness.MountOptions{})
	for _, command := range []string{"login", "logout", "mount", "doctor", "config show", "status", "unmount"} {
		r := harness.Cmd{Env: env, Name: harness.Binary(), Args: append(append([]string{"__complete"}, strings.Fields(command)...), "--config", config, "")}.Run(t).OK(t)
		assert.Regexp(t, `(?m)^work$`, r.Stdout, command)
		assert.Equal(t, command == "status" || command == "unmount", strings.Contains(r.Stdout, m.Path+"\n"), command)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := harness.Cmd{Name: harness.Binary(), Args: []string{"completion", shell}}.Run(t).OK(t)
		assert.Contains(t, r.Stdout, "downloadfs")
	}
}

// Proves S-132.
func TestStatusAndList(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "100k")
	m := harness.StartMount(t, s, harness.MountOptions{User: u})
	run := func(args ...string) harness.Result {
		return harness.Cmd{User: u, Name: harness.Binary(), Args: args}.Run(t)
	}
	assert.Contains(t, run("status", m.Path).OK(t).Stdout, "no downloads")
	id := submit(t, m, photos)
	m.Sh(t, "mv "+id+" holiday").OK(t)
	m.AwaitStatus(t, harness.Timeout, "holiday", "status", "IN_PROGRESS")
	assert.Regexp(t, `(?m)^holiday +IN_PROGRESS +\d+% +`, run("status", m.Path).OK(t).Stdout)
	var d map[string]any
	require.NoError(t, json.Unmarshal([]byte(run("status", "--json", m.Path).OK(t).Stdout), &d))
	assert.Equal(t, id, d["id"])
	assert.Equal(t, m.Path, d["mountpoint"])
	r := run("status", "/tmp")
	assert.Equal(t, 5, r.Code, "%s", r)

	// A live table on a terminal, until Ctrl-C.
	watch := harness.Cmd{
		User: u, Name: "script", Env: []string{"SHELL=/bin/sh", "TERM=xterm"},
		Args: []string{"-qec", "exec " + harness.Binary() + " status --watch --interval 200ms " + m.Path, "/dev/null"},
	}.Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return strings.Count(watch.Output(), "holiday") >= 3 || !watch.Running() }, "the table does not live")
	assert.Contains(t, watch.Output(), "\x1b[H")
	watch.Signal(t, syscall.SIGTERM)
	watch.Wait()

	assert.Regexp(t, `(?m)^`+m.Path+` +`+s.URL+` +mounted$`, run("list").OK(t).Stdout)
	m.Kill9(t)
	assert.Regexp(t, `(?m)^`+m.Path+` +`+s.URL+` +dead$`, run("list").OK(t).Stdout)
	r = run("status", m.Path)
	assert.Equal(t, 5, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "dead")
	m.Detach(t)
}

// A server that does not answer is not taken for one that zips slowly.
// Proves S-132.
func TestStatusOfASilentServer(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "10k")
	m := harness.StartMount(t, s, harness.MountOptions{User: u, Flags: []string{"--retry-timeout", shortBudget}, Allow: []string{`"level":"WARN"`}})
	id := submit(t, m, photos)
	m.AwaitStatus(t, harness.Timeout, id, "status", "IN_PROGRESS")
	s.Stop(t)
	run := func(args ...string) string {
		return harness.Cmd{User: u, Name: harness.Binary(), Args: args}.Run(t).Out(t)
	}
	silent := regexp.MustCompile(id + ` +IN_PROGRESS +\d+% +- +no answer for \d+ `)
	harness.Eventually(t, harness.Timeout, func() bool { return silent.MatchString(run("status", m.Path)) }, "status does not tell")
	assert.Regexp(t, `(?m)^`+m.Path+` +`+s.URL+` +mounted; the server has not answered for \d+ `, run("list"))
	assert.Regexp(t, `"mountpoint":"`+m.Path+`","server":"`+s.URL+`","state":"mounted","noAnswerSince":"20`, run("list", "--json"))
}

// Each thing that keeps a mount from working is found, with the exit code of mount.
// Proves S-133.
func TestDoctor(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t))
	skewed := startGate(t, s.URL, gateOptions{takes: func(r *http.Request) bool { return true }})
	doctor := func(env []string, args ...string) harness.Result {
		return harness.Cmd{User: u, Env: append(account(t, u), env...), Name: harness.Binary(), Args: append([]string{"doctor", "--cache-dir", harness.Dir(t, u)}, args...)}.Run(t)
	}
	r := doctor(nil, s.URL).OK(t)
	for _, what := range []string{"FUSE", "state", "cache", "connection", "clock", "login", "Downloads API", "ranges"} {
		assert.Regexp(t, `(?m)^ok +`+what+` `, r.Stdout)
	}
	assert.Regexp(t, `(?m)^ok +TLS +none, and none is needed`, r.Stdout)
	assertNoSecret(t, "doctor", r.Stdout+r.Stderr)
	doctor(nil).OK(t)
	doctor(nil, skewed.url).OK(t)

	for _, c := range []struct {
		env  []string
		args []string
		code int
		says string
	}{
		{[]string{"ALFRESCO_PASSWORD=wr0ng"}, []string{s.URL}, 3, "FAIL  login"},
		{nil, []string{"http://127.0.0.1:1"}, 4, "FAIL  connection"},
		{nil, []string{"http://no.such.host.invalid"}, 4, "FAIL  name"},
		{nil, []string{"--state-dir", "/proc/x", s.URL}, 1, "FAIL  state"},
		{nil, []string{"wrok"}, 2, "FAIL  configuration"},
		{nil, []string{"--config", configFile(t, u, "profiles:\n  all:\n    url: "+s.URL+"\n    allow-other: true\n"), "all"}, 5, "FAIL  FUSE"},
	} {
		if text, _ := os.ReadFile("/etc/fuse.conf"); c.code == 5 && regexp.MustCompile(`(?m)^user_allow_other$`).Match(text) {
			continue // it is allowed here
		}
		r := doctor(c.env, c.args...)
		assert.Equal(t, c.code, r.Code, "%s", r)
		assert.Regexp(t, `(?m)^`+strings.ReplaceAll(c.says, "  ", " +")+` `, r.Stdout)
		assert.NotContains(t, r.Stdout, "wr0ng")
	}
}

// What the server refuses as too large comes in parts and is one zip. Nothing is left
// behind, here and on the server.
// Proves S-195.
func TestGetInParts(t *testing.T) {
	t.Parallel()
	tree := siteTree(t)
	one := oneZip(t, tree, "Site")
	s := harness.StartServer(t, tree, "--max-content-size", siteLimit)
	l := newLedger(t, s)
	u := harness.Ordinary(t)
	env, dir := account(t, u), harness.Dir(t, u)
	get := func(args ...string) harness.Result {
		return harness.Cmd{User: u, Env: env, Dir: dir, Name: harness.Binary(), Args: append([]string{"get", "--server", l.url}, args...)}.Run(t)
	}
	same := func(path string) {
		t.Helper()
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, one.entries, zipEntries(t, b))
	}
	r := get("/Site").OK(t)
	assert.Contains(t, r.Stderr, "saved Site.zip")
	assert.Contains(t, r.Stderr, "zipping and fetching parts")
	same(dir + "/Site.zip")
	get("-o", "out.zip", "--extract", "unpacked", "/Site").OK(t)
	same(dir + "/out.zip")
	one.assertUnpacked(t, dir+"/unpacked")
	get("--extract", "only", "/Site").OK(t)
	one.assertUnpacked(t, dir+"/only")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 4, "something else was left: %v", entries)
	piped := harness.Cmd{User: u, Env: append(env, "XDG_CACHE_HOME="+dir+"/cache"), Dir: dir, Name: "sh",
		Args: []string{"-c", harness.Binary() + " get --server " + l.url + " -o - /Site > piped.zip"}}
	piped.Run(t).OK(t)
	same(dir + "/piped.zip")
	assert.Empty(t, harness.ShAs(t, u, "find "+dir+"/cache -type f").Out(t))
	r = get("--json", "--split-size", "600K", "-o", "small.zip", "/Site").OK(t)
	same(dir + "/small.zip")
	assert.Contains(t, r.Stderr, `"phase":"parts"`)

	r = get("--split", "off", "-o", "none.zip", "/Site")
	assert.Equal(t, 1, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "over the server's size limit")
	assert.Contains(t, r.Stderr, "--split off")
	harness.Eventually(t, harness.Timeout, func() bool { return len(l.left()) == 0 }, "the server still has %v", l.left())
}

// A get in parts that was killed goes on where it was: no part that arrived is asked
// for again.
// Proves S-195.
func TestGetInPartsGoesOn(t *testing.T) {
	t.Parallel()
	tree := siteTree(t)
	one := oneZip(t, tree, "Site")
	s := harness.StartServer(t, tree, "--max-content-size", siteLimit, "--archive-rate", "4M")
	l := newLedger(t, s)
	env, dir := account(t, harness.User{}), harness.Dir(t, harness.User{})
	c := harness.Cmd{Env: env, Dir: dir, Name: harness.Binary(), Args: []string{"get", "--server", l.url, "--json", "--split-size", "300K", "-o", "site.zip", "/Site"}}
	deleted := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.deleted)
	}
	for kill := range 3 {
		p := c.Start(t)
		for had := deleted(); deleted() <= had+1 && p.Running(); {
			time.Sleep(5 * time.Millisecond)
		}
		require.True(t, p.Running(), "it has ended before it could be killed: %s", p.Output())
		p.Signal(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGKILL}[kill])
		p.Wait()
	}
	c.Run(t).OK(t)
	b, err := os.ReadFile(dir + "/site.zip")
	require.NoError(t, err)
	require.Equal(t, one.entries, zipEntries(t, b))
	order, twice, _ := l.zips()
	for _, id := range twice {
		assert.Equal(t, order[0], id, "only the whole is asked for twice: once before and once in parts")
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "something else was left: %v", entries)
	harness.Eventually(t, harness.Timeout, func() bool { return len(l.left()) <= 1 }, "the server still has %v", l.left())
}

// Where there is no room for the parts, get says so before the server is asked for
// any, and leaves nothing behind.
// Proves S-195.
func TestGetInPartsNeedsRoom(t *testing.T) {
	t.Parallel()
	if !(harness.User{}).Root() {
		t.Skip("only root can make a small file system")
	}
	s := harness.StartServer(t, siteTree(t), "--max-content-size", siteLimit)
	l := newLedger(t, s)
	dir := harness.Dir(t, harness.User{})
	in := func(size string) harness.Result {
		return harness.Cmd{Env: account(t, harness.User{}), Dir: dir, Name: "unshare", Args: []string{"-m", "sh", "-c",
			"umount --all --lazy --types fuse.downloadfs; mount -t tmpfs -o size=" + size + " small . && cd " + dir + " && " + harness.Binary() + " get --server " + l.url + ` /Site; code=$?; ls -A; exit $code`}}.Run(t)
	}
	r := in("8M")
	assert.Equal(t, 1, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "6.3 MB of content come in parts, for which there is not enough room")
	assert.Empty(t, r.Stdout)
	order, _, _ := l.zips()
	assert.Len(t, order, 2, "a part was asked for")
	assert.Empty(t, l.left())
	assert.Equal(t, "Site.zip\n", in("30M").OK(t).Stdout)
}

// On a full disk get says what to do, and then goes on. The doctor finds that there is no
// room to remember downloads.
// Proves S-159.
func TestGetNeedsRoom(t *testing.T) {
	t.Parallel()
	if !(harness.User{}).Root() {
		t.Skip("only root can make a small file system")
	}
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, harness.User{})
	get := harness.Binary() + " get --server " + s.URL + " -o photos.zip /" + photos
	r := harness.Cmd{Env: account(t, harness.User{}), Dir: dir, Name: "unshare", Args: []string{"-m", "sh", "-c", "umount --all --lazy --types fuse.downloadfs; mount -t tmpfs -o size=600k small . && cd " + dir + " && " + get + "; echo code $?;" +
		harness.Binary() + " doctor --state-dir " + dir + " --cache-dir /; echo code $?; mount -o remount,size=10M . && " + get + " && unzip -tq photos.zip"}}.Run(t).OK(t)
	assert.Contains(t, r.Stderr, "no space left on device; make room there, and the same command goes on from here, or name another place\n")
	assert.Regexp(t, `(?m)^FAIL +state +`+dir+`: only 0 B are free; make room there, or give --state-dir$`, r.Stdout)
	assert.Equal(t, 2, strings.Count(r.Stdout, "code 1\n"), r.Stdout)
	assert.Regexp(t, `fetching: *[1-9]\d?%`, r.Stderr[strings.Index(r.Stderr, "make room"):], "it began again")
}
