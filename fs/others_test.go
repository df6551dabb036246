package fs

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asNobody runs a script as another user.
func (m *testMount) asNobody(script string) (string, error) {
	m.Helper()
	// t.TempDir is closed to others, the mount being the point of the test.
	require.NoError(m, os.Chmod(filepath.Dir(m.dir), 0o755))
	require.NoError(m, os.Chmod(filepath.Dir(filepath.Dir(m.dir)), 0o755))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := m.command(ctx, script)
	cmd.Dir = "/"
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Only who mounted it may even look.
func TestOthersNothing(t *testing.T) {
	asRoot(t)
	m := newTestMount(t)
	m.domain.add("d1", nil)
	for _, script := range []string{`ls $M`, `stat $M`, `cat $M/README`, `cat $D/d1/status`, `echo x > $D/new`, `cd $M`} {
		out, err := m.asNobody(script)
		require.Error(t, err, script)
		assert.Contains(t, out, "Permission denied", script)
	}
}

// With --allow-other they may read, and change nothing.
func TestOthersRead(t *testing.T) {
	asRoot(t)
	m := newTestMount(t, func(c *Config) { c.AllowOther = true })
	d := m.domain.add("d1", nil)
	file, data := m.archive(100_000)
	d.finish(file, true)
	out, err := m.asNobody(`ls -l $M $D $D/d1 && cat $M/README $D/d1/status $D/d1/nodes && sha256sum < $D/d1/archive.zip && df $M`)
	require.NoError(t, err, out)
	assert.Contains(t, out, hash(data))
	assert.Contains(t, out, "drwxr-xr-x")
	for _, script := range []string{
		`echo ` + idA + ` > $D/new`, `cat $D/new`, `mkdir $D/` + idA, `rmdir $D/d1`, `rm -rf $D/d1`, `unlink $D/d1/archive.zip`,
		`mv $D/d1 $D/x`, `touch $D/d1/x`, `chmod 777 $D/d1`, `echo x > $D/d1/status`, `truncate -s 0 $D/new`,
	} {
		out, err := m.asNobody(script)
		require.Error(t, err, script)
		assert.Regexp(t, `Permission denied|Operation not permitted`, out, script)
	}
	assert.Equal(t, "d1\nnew", m.ok(`ls $D`))
	assert.Equal(t, "-rw-------", m.ok(`stat -c %A $D/new`))
	m.ok(`echo ` + idA + ` > $D/new; rm -r $D/d1; test "$(ls $D)" = "d2
new"`)
}
