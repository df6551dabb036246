package fs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// newHidingMount is a mount whose callers cannot be seen, as behind a /proc with
// hidepid=.
func newHidingMount(t *testing.T) *testMount {
	proc := t.TempDir()
	return newTestMount(t, func(c *Config) { c.proc = proc })
}

// A list makes one download, however it is written. The next look finds it, although
// nobody knows which close is the last.
// Proves S-99.
func TestUnseenWriters(t *testing.T) {
	for name, script := range map[string]string{
		"echo":           `echo @A > $D/new`,
		"group of cats":  `{ /bin/echo @A; /bin/echo @B; } > $D/new`,
		"two dups":       `exec 3> $D/new; exec 4>&3; echo @A >&3; exec 3>&-; echo @B >&4; exec 4>&-`,
		"child inherits": `exec 3> $D/new; echo @A >&3; bash -c 'echo @B >&3'; exec 3>&-`,
		"cp":             `echo @A > $T; cp $T $D/new`,
		"tee":            `echo @A | tee $D/new > /dev/null`,
		"python":         `python3 -c "open('$D/new','w').write('@A\n@B\n')"`,
		"fsync":          `python3 -c "import os;f=os.open('$D/new',os.O_WRONLY);os.write(f,b'@A');os.fsync(f)"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newHidingMount(t)
			m.domain.script(func(f *fakeDomain) {
				f.create = func(context.Context, download.List) error { time.Sleep(300 * time.Millisecond); return nil }
			})
			script := strings.NewReplacer("@A", idA, "@B", idB, "$T", t.TempDir()+"/t").Replace(script)
			out := m.ok("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'\nls $D; cat $D/new")
			require.Equal(t, "d1\nnew\nd1", out)
			assert.Len(t, m.domain.find("d1").nodes, strings.Count(script, idA)+strings.Count(script, idB))
		})
	}
}

// A list whose writer is killed asks for nothing here either.
// Proves S-99.
func TestUnseenWriterKilled(t *testing.T) {
	for name, script := range map[string]string{
		"kill":      `{ echo ` + idA + `; kill -KILL $BASHPID; } > $D/new`,
		"terminate": `python3 -c "import os;f=os.open('$D/new',1);os.write(f,b'` + idA + `\n');os.kill(os.getpid(),15)"`,
		"threads":   `python3 -c "import os,threading,time;f=os.open('$D/new',1);os.write(f,b'` + idA + `\n');threading.Thread(target=time.sleep,args=(9,)).start();os.kill(os.getpid(),15)"`,
		"child":     `{ sh -c "echo ` + idA + `; kill -KILL \$\$"; echo ` + idB + `; } > $D/new`,
		"closed":    `python3 -c "import os;f=os.open('$D/new',1);os.close(os.dup(f));os.write(f,b'` + idA + `\n');os.kill(os.getpid(),9)"`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newHidingMount(t)
			_, _ = m.sh("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'")
			assert.Equal(t, "new", m.ok(`ls $D`))
			assert.Equal(t, "error: the process that wrote the request list was killed", m.ok(`cat $D/new`))
			assert.Equal(t, "d1\nnew", m.ok(`echo `+idB+` > $D/new; ls $D`))
		})
	}
}

// What the server refuses is told by fsync and by new, and not by close.
func TestUnseenRefusal(t *testing.T) {
	m := newHidingMount(t)
	m.domain.script(func(f *fakeDomain) {
		f.create = func(context.Context, download.List) error {
			return fmt.Errorf("create download: %w", download.ErrForbidden)
		}
	})
	m.ok(`echo ` + idA + ` > $D/new`)
	assert.Contains(t, m.ok(`cat $D/new`), "error: ")
	out, err := m.sh(`echo ` + idA + ` | dd of=$D/new conv=fsync status=none`)
	require.Error(t, err)
	assert.Contains(t, out, "Permission denied")
}

// A list that stays open keeps nobody who lists from going on.
func TestUnseenWriterStays(t *testing.T) {
	m := newHidingMount(t)
	assert.Equal(t, "new\nd1\nnew", m.ok(`exec 3>$D/new; /bin/echo `+idA+` >&3; ls $D; exec 3>&-; ls $D`))
}

// An answer that does not come keeps nobody who lists for long.
func TestUnseenWriterUnanswered(t *testing.T) {
	m := newHidingMount(t)
	asked, _ := m.hangs()
	m.ok(`echo ` + idA + ` > $D/new`)
	<-asked
	began := time.Now()
	assert.Equal(t, "new", m.ok(`ls $D`))
	assert.Less(t, time.Since(began), 2*unseenPatience)
}

// Who cannot be seen may look at what was just listed without waiting.
// Proves S-99.
func TestUnseenBrowses(t *testing.T) {
	m := newHidingMount(t)
	d := m.domain.add("d1", nil)
	assert.Contains(t, m.ok(`ls -l $D/d1; find $D -ls`), "archive.zip")
	assert.Zero(t, d.waiting())
	b := m.background(`exec cat $D/d1/archive.zip`)
	m.eventually(func() bool { return d.waiting() == 1 }, "a reader waits")
	file, data := m.archive(1000)
	d.finish(file, false)
	require.NoError(t, m.ended(b, 5*time.Second))
	assert.Equal(t, string(data), b.out.String())
}
