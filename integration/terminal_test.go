package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/integration/idp"
)

// screen is a terminal of tmux's own, which shows what a person would see.
type screen struct {
	socket string
	env    []string
	u      harness.User
}

// startScreen runs a shell script on a terminal of so many characters and lines. When
// it has ended, the last line says with which code.
func startScreen(t *testing.T, u harness.User, env []string, dir, script string, width, height int) *screen {
	t.Helper()
	s := &screen{socket: filepath.Join(harness.Dir(t, u), "tmux"), env: env, u: u}
	t.Cleanup(func() { s.tmux(t, "kill-server") })
	s.tmux(t, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "-c", dir,
		"sh", "-c", "trap : INT; "+script+`; echo "exit code $?"; stty -a | grep -o -e "-\?echo "; exec sleep 600`).OK(t)
	return s
}

func (s *screen) tmux(t *testing.T, args ...string) harness.Result {
	t.Helper()
	return harness.Cmd{User: s.u, Env: append([]string{"SHELL=/bin/sh", "TERM=xterm"}, s.env...), Dir: "/", Name: "tmux", Args: append([]string{"-S", s.socket}, args...)}.Run(t)
}

// keys types keys as tmux calls them, or text.
func (s *screen) keys(t *testing.T, keys ...string) {
	t.Helper()
	s.tmux(t, append([]string{"send-keys"}, keys...)...).OK(t)
}

// text returns what is on the screen, without the space behind lines.
func (s *screen) text(t *testing.T) string {
	t.Helper()
	return strings.TrimRight(s.tmux(t, "capture-pane", "-p").OK(t).Stdout, "\n ")
}

// colours reports whether anything on the screen is not as plain text is.
func (s *screen) colours(t *testing.T) bool {
	t.Helper()
	return strings.Contains(s.tmux(t, "capture-pane", "-p", "-e").OK(t).Stdout, "\x1b[")
}

// await waits until the screen shows pattern, and returns it.
func (s *screen) await(t *testing.T, pattern string) string {
	t.Helper()
	var text string
	re := regexp.MustCompile(pattern)
	harness.Eventually(t, harness.Timeout, func() bool {
		text = s.text(t)
		return re.MatchString(text)
	}, "the screen never shows %s, but:\n%s", pattern, &lazyText{&text})
	return text
}

// lazyText is a text that is read when it is printed.
type lazyText struct{ text *string }

func (l *lazyText) String() string { return *l.text }

// get redraws one line for both of its phases, in a narrow window too. Ctrl-C ends it
// with a sentence, and the same command goes on.
// Proves S-131.
func TestGetOnScreen(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "500K")
	reached := make(chan struct{})
	goOn := make(chan struct{})
	g := startGate(t, s.URL, gateOptions{each: func(n int64) {
		if n == 3 {
			close(reached)
			<-goOn
		}
	}})
	env, dir := account(t, u), harness.Dir(t, u)
	script := harness.Binary() + " get --server " + g.url + " /" + photos
	sc := startScreen(t, u, env, dir, script, 50, 20)
	zipping := sc.await(t, `the server zips: *\d+%`)
	assert.NotContains(t, zipping, "\n", "the bar is on one line")
	<-reached
	fetching := sc.await(t, `fetching: *\d+%`)
	assert.NotContains(t, fetching, "\n")
	assert.LessOrEqual(t, utf8.RuneCountInString(fetching), 50)
	assert.NotContains(t, fetching, "zips", "something of the first phase is left")
	sc.tmux(t, "resize-window", "-x", "100", "-y", "20").OK(t)
	sc.keys(t, "C-c")
	close(goOn)
	ended := sc.await(t, `exit code 1\necho$`)
	assert.Contains(t, ended, "downloadfs: interrupted; the same command goes on from here\nexit code 1\necho")
	assert.False(t, sc.colours(t))

	sc = startScreen(t, u, env, dir, script, 120, 20)
	sc.await(t, `^\[#+\.+\] fetching: *\d+%, .* of 1\.6 MB`)
	ended = sc.await(t, `exit code \d+\necho$`)
	assert.Regexp(t, `^\[#+\] fetching: *100%, .*\nsaved photos\.zip \(1\.6 MB\)\nexit code 0\necho$`, ended)

	// Where no lines can be redrawn there are lines.
	sc = startScreen(t, u, append(env, "TERM=dumb"), dir, "TERM=dumb "+harness.Binary()+" get --server "+s.URL+" -o x.zip /"+library+"/report.txt", 100, 20)
	ended = sc.await(t, `exit code 0`)
	assert.NotContains(t, ended, "[#")
	assert.Contains(t, ended, "\nsaved x.zip")
}

// status --watch keeps to the window: a line for each download, cut where the window
// ends, and not more lines than it has. What was on the screen before is there again
// at the end.
// Proves S-132.
func TestStatusOnScreen(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "100k")
	m := harness.StartMount(t, s, harness.MountOptions{User: u, Allow: []string{"cannot unmount yet"}})
	id := submit(t, m, photos)
	m.Sh(t, "mv "+id+" 'a name that is longer than the window'").OK(t)
	sc := startScreen(t, u, nil, "/", "echo before; "+harness.Binary()+" status --watch --interval 200ms "+m.Path, 60, 10)
	text := sc.await(t, `(?m)^a name that is longer than the window +IN_PROGRESS +\d+%`)
	lines := strings.Split(text, "\n")
	assert.Len(t, lines, 2, text)
	assert.Regexp(t, `^NAME +STATE +ZIPPED`, lines[0])
	sc.tmux(t, "resize-window", "-x", "40", "-y", "10").OK(t)
	text = sc.await(t, `(?m)^a name that is longer than the window +…$`)
	assert.Len(t, strings.Split(text, "\n"), 2, text)
	for n := range 12 {
		m.Sh(t, fmt.Sprintf("echo /%s >more-%d", library+"/report.txt", n)).OK(t)
	}
	text = sc.await(t, `… and \d+ more lines$`)
	assert.Len(t, strings.Split(text, "\n"), 9, text)
	assert.False(t, sc.colours(t))
	sc.keys(t, "C-c")
	sc.await(t, `exit code 0\necho$`)

	sc = startScreen(t, u, nil, "/", "echo before; "+harness.Binary()+" status --watch --interval 200ms "+m.Path, 120, 30)
	text = sc.await(t, `^NAME`)
	assert.NotContains(t, text, "before")
	sc.keys(t, "C-c")
	text = sc.await(t, `exit code \d+\necho$`)
	assert.Regexp(t, `^before\nNAME +STATE`, text)
	assert.Regexp(t, `(?m)^more-11 `, text)
	assert.True(t, strings.HasSuffix(text, "exit code 0\necho"), text)

	// The mount goes away while somebody watches.
	sc = startScreen(t, u, nil, "/", harness.Binary()+" status --watch --interval 100ms "+m.Path, 100, 30)
	sc.await(t, `^NAME`)
	m.Unmount(t)
	text = sc.await(t, `exit code 5`)
	assert.Contains(t, text, "is not a mount of downloadfs")
}

// login shows a code and waits for the browser, or asks for a password that nobody
// sees. Ctrl-C ends each, and the terminal shows again what is typed.
// Proves S-109.
func TestLoginOnScreen(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	p := idp.Start(t, time.Minute)
	s := harness.StartServer(t, harness.Samples(t))
	g := startGate(t, s.URL, gateOptions{takes: func(r *http.Request) bool { return p.Takes(r) }})
	state := harness.Dir(t, u)
	login := harness.Binary() + " login --config /dev/null --state-dir " + state + " "
	sc := startScreen(t, u, nil, "/", login+"--oidc-issuer "+p.Issuer+" "+g.url, 80, 20)
	m := code.FindStringSubmatch(sc.await(t, `enter the code \S+`))
	sc.keys(t, "C-c")
	text := sc.await(t, `exit code 1\necho$`)
	assert.Contains(t, text, "interrupted, and nothing is stored")
	require.NotNil(t, m)
	sc = startScreen(t, u, nil, "/", login+"--oidc-issuer "+p.Issuer+" "+g.url, 80, 20)
	m = code.FindStringSubmatch(sc.await(t, `enter the code \S+`))
	p.Approve(t, m[1])
	text = sc.await(t, `exit code 0\necho$`)
	assert.Contains(t, strings.ReplaceAll(text, "\n", ""), "logged in to "+g.url+" as ")
	assert.False(t, sc.colours(t))

	sc = startScreen(t, u, nil, "/", login+"--password "+s.URL, 80, 20)
	sc.await(t, `^User name:$`)
	sc.keys(t, "-l", harness.AdminName)
	sc.keys(t, "Enter")
	sc.await(t, `Password of admin:$`)
	sc.keys(t, "-l", "half of it")
	sc.keys(t, "C-c")
	text = sc.await(t, `exit code 1\necho$`)
	assert.Contains(t, text, "interrupted, and nothing is stored")
	assert.NotContains(t, text, "half")
	sc = startScreen(t, u, nil, "/", login+"--password --username "+harness.AdminName+" "+s.URL, 80, 20)
	sc.await(t, `Password of admin:$`)
	sc.keys(t, "-l", harness.AdminPassword)
	sc.keys(t, "Enter")
	text = sc.await(t, `exit code 0\necho$`)
	assert.Contains(t, strings.ReplaceAll(text, "\n", ""), "logged in to "+s.URL+" as "+harness.AdminName)
	assertNoSecret(t, "the screen", text)
}
