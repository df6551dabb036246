package integration

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// secrets match what must be nowhere: the password and a ticket, plain and as
// the Authorization header carries them, and the names of what carries them.
var secrets = map[string]*regexp.Regexp{
	"password":        regexp.MustCompile(regexp.QuoteMeta(harness.AdminPassword)),
	"basic login":     regexp.MustCompile(regexp.QuoteMeta(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(harness.AdminName+":"+harness.AdminPassword)), "="))),
	"ticket":          regexp.MustCompile(`TICKET_[0-9a-fA-F]{8}`),
	"ticket as login": regexp.MustCompile(regexp.QuoteMeta(base64.StdEncoding.EncodeToString([]byte("TICKET"))[:7])),
	"token":           regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.`),
	"Kerberos token":  regexp.MustCompile(`\bYI[G-L][A-Za-z0-9+/]{30}`),
	"header":          regexp.MustCompile(`(?i)authorization: *(basic|bearer|negotiate)`),
	"query parameter": regexp.MustCompile(`alf_ticket=`),
}

// assertNoSecret fails the test when text has a secret in it.
func assertNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for what, pattern := range secrets {
		if found := pattern.FindStringIndex(text); found != nil {
			t.Errorf("%s in %s: …%q…", what, where, text[max(found[0]-60, 0):min(found[1]+20, len(text))])
		}
	}
}

// TestSecretsPatterns: the patterns find what they are for.
// Proves S-62.
func TestSecretsPatterns(t *testing.T) {
	for what, text := range map[string]string{
		"password":        "login with " + harness.AdminPassword,
		"basic login":     base64.StdEncoding.EncodeToString([]byte(harness.AdminName + ":" + harness.AdminPassword)),
		"ticket":          "TICKET_0123456789abcdef",
		"ticket as login": base64.StdEncoding.EncodeToString([]byte("TICKET_0123456789abcdef")),
		"token":           "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6.e30.x",
		"Kerberos token":  "Negotiate YIICZgYGKwYBBQUCoIICWjCCAlagDTALBgkqhkiG9xIBAgKi",
		"header":          "Authorization: Basic x",
		"query parameter": "/content?alf_ticket=x",
	} {
		assert.Regexp(t, secrets[what], text)
	}
}

// TestNoSecretAnywhere: through a whole life of a mount, with faults, at the
// most talkative log level, no secret is in the log, a crash's stacks included,
// in any file of the mount, in the journal, in the cache, or in the arguments
// and the environment of a child process.
// Proves S-62.
func TestNoSecretAnywhere(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			server := harness.StartServer(t, harness.Samples(t), "--ticket-max-idle", "1s")
			between := faults.NewServer(t, server.URL)
			u := harness.Ordinary(t)
			children := recordMountHelper(t, u)
			m := harness.StartMount(t, server, harness.MountOptions{
				User: u, URL: between.URL(),
				Env:   []string{"PATH=" + children + ":/usr/bin:/bin"},
				Flags: []string{"--log-format", format, "--retry-timeout", shortBudget},
				Allow: []string{""}, // what is logged here is wanted, whatever it is
			})
			id := submit(t, m, "Sites/press/documentLibrary/photos")
			m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)
			m.Sh(t, "echo nonsense > new; echo /no/such/path > new; true")
			between.Inject(faults.Rule{Fault: faults.Unauthorized()})
			m.Sh(t, "echo /Sites > new; true")

			all := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", `cd "$1" && find . -type f ! -name archive.zip -exec cat {} +; find .`, "sh", m.Path}}
			told := all.Run(t).Out(t)
			require.Contains(t, told, "status: DONE", "not read")
			assertNoSecret(t, "the mount", told)
			cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.Pid()), "cmdline"))
			require.NoError(t, err)
			assertNoSecret(t, "the arguments", string(cmdline))
			if format == "json" { // the harness reads no other
				m.Dump(t)
			}

			m.Signal(t, syscall.SIGQUIT)
			<-m.Done()
			m.Detach(t)
			require.Contains(t, m.Log.Text(), "goroutine ", "no stacks")
			assertNoSecret(t, "the log", m.Log.Text())
			for _, dir := range []string{m.StateDir, m.CacheDir} {
				files := 0
				require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
					if err != nil || e.IsDir() {
						return err
					}
					files++
					content, err := os.ReadFile(path)
					assertNoSecret(t, path, path+"\n"+string(content))
					return err
				}))
				assert.NotZero(t, files, "nothing in %s", dir)
			}
			recorded, err := os.ReadFile(filepath.Join(children, "record"))
			require.NoError(t, err)
			require.Contains(t, string(recorded), "_FUSE_COMMFD=", "no child was seen")
			assertNoSecret(t, "a child process", string(recorded))
			assert.NotContains(t, string(recorded), "ALFRESCO_PASSWORD")
		})
	}
}

// recordMountHelper makes a directory with a fusermount3 that notes its
// arguments and its environment and then does what it should.
func recordMountHelper(t *testing.T, u harness.User) string {
	t.Helper()
	real := harness.Tool(t, "fusermount3")
	dir := harness.Dir(t, u)
	script := "#!/bin/sh\n{ env; tr '\\0' '\\n' </proc/$$/environ; printf '%s\\n' \"$@\"; } >>" + dir + "/record\nexec " + real + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fusermount3"), []byte(script), 0o755))
	return dir
}

// secretList collects the secrets that travel in requests.
type secretList struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// note adds what a request carries.
func (l *secretList) note(r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[token] = true
}

// assertNotIn fails the test when one of them, or enough of it, is in text.
func (l *secretList) assertNotIn(t *testing.T, where, text string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.NotEmpty(t, l.seen, "no secret has travelled")
	for secret := range l.seen {
		if len(secret) >= 8 {
			assert.NotContains(t, text, secret[max(0, len(secret)-32):], where)
		}
	}
}
