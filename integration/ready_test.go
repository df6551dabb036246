package integration

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestReadyLine: serve and mount write one line on standard output when they are
// ready, and nothing else in their whole lives, whatever they log.
// Proves S-51.
func TestReadyLine(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"docs/report.txt": "All is well.\n", "mnt/": "", "state/": "", "cache/": ""})
	mnt := filepath.Join(dir, "mnt")
	account := harness.AdminName + ":" + harness.AdminPassword
	start := func(env []string, args ...string) *harness.Process {
		args = append([]string{args[0], "--log-level", "debug"}, args[1:]...)
		p := harness.Cmd{Name: harness.Binary(), Env: env, Args: args}.Start(t)
		harness.Eventually(t, harness.Timeout, func() bool { return p.Output() != "" || !p.Running() }, "not ready")
		return p
	}
	end := func(p *harness.Process, ready string) {
		t.Helper()
		p.Signal(t, syscall.SIGTERM)
		r := p.Wait().OK(t)
		assert.Equal(t, ready, r.Stdout)
		assert.NotEmpty(t, r.Stderr, "nothing was logged that could have come here")
	}

	serve := start([]string{"DOWNLOADFS_SERVE_USERS=" + account}, "serve", "--listen", "127.0.0.1:0", filepath.Join(dir, "docs"))
	require.Regexp(t, `^serving `+dir+`/docs on http://127\.0\.0\.1:\d+\n$`, serve.Output())
	url := serve.Output()[len("serving "+dir+"/docs on ") : len(serve.Output())-1]

	t.Cleanup(func() { // not left behind when something below fails
		if harness.Mounted(t, mnt) {
			harness.Run(t, harness.Timeout, harness.Binary(), "unmount", "--lazy", mnt)
		}
	})
	mount := start([]string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword},
		"mount", "--state-dir", filepath.Join(dir, "state"), "--cache-dir", filepath.Join(dir, "cache"), url, mnt)
	harness.Sh(t, "cd "+mnt+`/downloads && echo /report.txt > new && id=$(cat new) && unzip -tq $id/archive.zip && cat $id/status &&
		! echo nonsense > new && ! mkdir nonsense && ! cat nonsense && ls -lR . && rm -r $id`).OK(t)
	mount.Signal(t, syscall.SIGUSR1) // a stack dump is a log record too
	harness.Sh(t, "ls "+mnt).OK(t)
	end(mount, "mounted "+url+" on "+mnt+"\n")
	end(serve, "serving "+dir+"/docs on "+url+"\n")
}

// TestServeLog: serve logs where its API is, for whoever wants to try it.
// Proves S-52.
func TestServeLog(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	record := s.Log.AwaitRecord(t, harness.Timeout, "where the API is", func(r harness.Record) bool { return r.String("msg") == "serving" })
	assert.Equal(t, s.Dir, record.String("dir"))
	assert.Equal(t, s.URL, record.String("url"))
	assert.Equal(t, s.URL+"/alfresco/api/-default-/public/alfresco/versions/1", record.String("core"))
	assert.Equal(t, s.URL+"/alfresco/api/-default-/public/authentication/versions/1", record.String("authentication"))
}
