package fs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// hangs makes the server not answer requests for a download until release is
// closed, and then refuse them. asked is closed with the first one.
func (m *testMount) hangs() (asked <-chan struct{}, release chan struct{}) {
	began := make(chan struct{})
	first := sync.OnceFunc(func() { close(began) })
	release = make(chan struct{})
	m.domain.script(func(f *fakeDomain) {
		f.create = func(ctx context.Context, _ download.List) error {
			first()
			select {
			case <-release:
				return fmt.Errorf("create download: %w", download.ErrForbidden)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return began, release
}

// closeList is a program that writes a list and waits in close.
const closeList = `exec python3 -c "
import os
f=os.open('$D/new',1)
os.write(f,b'` + idA + `\n')
os.close(f)"`

// A wait that a signal interrupted can be resumed: a writer that asks again is told
// the list's outcome, not that there is no list.
// Proves S-9.
func TestControlInterruptedAndAsked(t *testing.T) {
	for name, again := range map[string]string{
		"fsync": `os.fsync(f)`,
		"close": `os.close(f)`,
		"read":  `os.read(f, 99)`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newTestMount(t)
			_, release := m.hangs()
			b := m.background(`exec python3 -c "
import os, signal
class Alarm(Exception): pass
def alarm(*a): raise Alarm
signal.signal(signal.SIGALRM, alarm)
f = os.open('$D/new', os.O_RDWR)
os.write(f, b'` + idA + `\n')
try:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    os.fsync(f)
except Alarm: print('interrupted', flush=True)
` + again + `"`)
			m.eventually(func() bool { return b.out.String() == "interrupted\n" }, "the first wait ends")
			close(release)
			require.Error(t, m.ended(b, 5*time.Second))
			assert.Contains(t, b.out.String(), "PermissionError")
			assert.Equal(t, "error: create download: permission denied", m.ok(`cat $D/new`))
		})
	}
}

// A handle tells of its latest list, also when the one before is answered later.
// Proves S-7.
func TestControlLateAnswer(t *testing.T) {
	m := newTestMount(t)
	late, release := make(chan struct{}), make(chan struct{})
	m.domain.script(func(f *fakeDomain) {
		f.create = func(_ context.Context, l download.List) error {
			if l.Entries[0].Node != idA {
				return nil
			}
			close(late)
			<-release
			return fmt.Errorf("create download: %w", download.ErrForbidden)
		}
	})
	b := m.background(`exec python3 -c "
import os, signal, sys
class Alarm(Exception): pass
def alarm(*a): raise Alarm
signal.signal(signal.SIGALRM, alarm)
f = os.open('$D/new', os.O_RDWR)
os.write(f, b'` + idA + `\n')
try:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    os.fsync(f)
except Alarm: pass
os.write(f, b'` + idB + `\n')
os.fsync(f)
print('made', flush=True)
while open('$D/new').read() != 'error: create download: permission denied\n': pass
print(os.read(f, 99).decode(), end='')"`)
	<-late
	m.eventually(func() bool { return b.out.String() == "made\n" }, "the second list is answered")
	close(release)
	require.NoError(t, m.ended(b, 10*time.Second), b.out.String())
	assert.Equal(t, "made\nd1\n", b.out.String())
}

// No signal reaches a process that is ending, so one that ends without closing
// its list waits for a short time only. The list goes on.
// Proves S-10.
func TestControlExitIsBounded(t *testing.T) {
	t.Parallel()
	m := newTestMount(t)
	_, release := m.hangs()
	b := m.background(`exec python3 -c "
import os
os.write(os.open('$D/new', 1), b'` + idA + `\n')
os._exit(0)"`)
	require.NoError(t, m.ended(b, 2*exitPatience))
	assert.Empty(t, m.ok(`cat $D/new`), "no outcome yet")
	close(release)
	m.eventually(func() bool { return m.ok(`cat $D/new`) != "" }, "an outcome")
}

// A list that is on its way when everybody has gone does not hold up an unmount.
func TestUnmountDuringSubmission(t *testing.T) {
	m := newTestMount(t)
	asked, _ := m.hangs()
	b := m.background(closeList)
	<-asked
	require.NoError(t, b.Process.Kill())
	require.Error(t, m.ended(b, 5*time.Second))
	began := time.Now()
	require.NoError(t, m.server.Unmount())
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.NotContains(t, m.log.String(), "level=WARN")
}

// If the writer of a list is killed, its other writers fail. They do not try forever,
// as they would after EINTR.
// Proves S-8.
func TestControlWriterKilledOthersFail(t *testing.T) {
	m := newTestMount(t)
	more := filepath.Join(t.TempDir(), "more")
	require.NoError(t, os.WriteFile(more, []byte(idB), 0o600))
	out, err := m.sh(`{ python3 -c "import os;os.write(1,b'` + idA + `\n');os.kill(os.getpid(),9)"; cat ` + more + `; } > $D/new`)
	require.Error(t, err)
	assert.Contains(t, out, "Operation canceled")
	assert.Equal(t, "new", m.ok(`ls $D`))
}

// A process that has the control files of two mounts open ends each list with
// the close of it.
// Proves S-11.
func TestControlTwoMounts(t *testing.T) {
	a, b := newTestMount(t), newTestMount(t)
	out := a.ok(`python3 -c "
import os
a, b = os.open('$D/new', 1), os.open('` + b.dir + `/downloads/new', 1)
os.write(a, b'` + idA + `\n')
os.write(b, b'` + idB + `\n')
print(len(os.listdir('$D')), len(os.listdir('` + b.dir + `/downloads')))
os.close(a)
print(len(os.listdir('$D')), len(os.listdir('` + b.dir + `/downloads')))
os.close(b)
print(len(os.listdir('$D')), len(os.listdir('` + b.dir + `/downloads')))"`)
	assert.Equal(t, "1 1\n2 1\n2 2", out)
}

// Who adopts a download of a server that does not answer is let go, and with him
// everybody who lists the directory; the entry appears with the answer.
// Proves S-27.
func TestAdoptIsBounded(t *testing.T) {
	t.Parallel()
	m := newTestMount(t)
	m.domain.add("d1", nil)
	asked, answer := make(chan struct{}), make(chan struct{})
	m.domain.script(func(f *fakeDomain) {
		f.adopt = func(download.ID) error { close(asked); <-answer; return nil }
	})
	b := m.background(`exec mkdir $D/` + idA)
	<-asked
	assert.Equal(t, "d1\nnew", m.ok(`ls $D`))
	require.Error(t, m.ended(b, 2*adoptPatience))
	assert.Contains(t, b.out.String(), "Connection timed out")
	assert.Equal(t, "error: "+idA+": the server has not answered in 5s; if it does, the download appears", m.ok(`cat $D/new`))
	close(answer)
	m.eventually(func() bool { return m.ok(`ls $D`) == idA+"\nd1\nnew" }, "the entry appears")
}

// At debug level each operation leaves a record, and no data.
// Proves S-79.
func TestTrace(t *testing.T) {
	m := newTestMount(t)
	m.ok(`echo ` + idA + ` > $D/new; mv $D/d1 $D/q3; cat $D/q3/status > /dev/null; rmdir $D/q3; ls $D/none 2>/dev/null || :`)
	log := m.log.String()
	for _, record := range []string{
		`op=open `, `op=write .* off=0 len=37 `, `op=flush `, `op=rename .* name=d1 to=q3 `, `op=read .* off=0 `, `op=rmdir .* name=q3 `,
		`op=lookup .* name=none .* errno=.*`, `op=release `,
	} {
		assert.Regexp(t, `msg=fuse `+record, log)
	}
	assert.NotContains(t, log, idA)
}
