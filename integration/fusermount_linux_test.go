package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// Where fusermount3 has no power an ordinary user is told why, and what to do, in
// one line.
// Proves S-53.
func TestMountWithoutPrivileges(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, u)
	weak := filepath.Join(harness.Dir(t, u), "fusermount3")
	program, err := os.ReadFile(harness.Tool(t, "fusermount3"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(weak, program, 0o755))
	require.NoError(t, os.Mkdir(dir+"/mnt", 0o777))
	require.NoError(t, os.Chmod(dir+"/mnt", 0o777)) // the umask
	for name, test := range map[string]struct{ before, path, says string }{
		"no new privileges": {"setpriv --no-new-privs", "", "NoNewPrivileges="},
		"no set-user-ID":    {"", filepath.Dir(weak) + ":", "chmod u+s " + weak},
	} {
		r := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", "exec " + test.before + ` "$@"`, "sh", harness.Binary(),
			"mount", "--log-level", "error", "--state-dir", dir + "/s", "--cache-dir", dir + "/c", s.URL, dir + "/mnt"},
			Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.PasswordOf(harness.AdminName),
				"PATH=" + test.path + os.Getenv("PATH")}}.Run(t)
		assert.Equal(t, 5, r.Code, "%s: %s", name, r)
		assert.Regexp(t, `^downloadfs: mount on [^\n]*mount failed: Operation not permitted; [^\n]*\n$`, r.Stderr, name)
		assert.Contains(t, r.Stderr, test.says, name)
		assert.Contains(t, r.Stderr, "or mount as root", name)
	}
}
