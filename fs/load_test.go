package fs

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Listing 10,000 downloads is a matter of milliseconds, with their attributes too.
func TestListMany(t *testing.T) {
	m := newTestMount(t)
	for i := range 10_000 {
		m.domain.add(download.ID(fmt.Sprintf("%08d-1111-4111-8111-111111111111", i)), nil)
	}
	for _, script := range []string{`ls $D`, `ls -l $D`, `ls -U $D`, `find $D -maxdepth 1`} {
		start := time.Now()
		assert.Regexp(t, `^1000[0-9]$`, m.ok(script+` | wc -l`))
		took := time.Since(start)
		t.Logf("%-24s %v", script, took)
		// The promise is half a second, on a machine that is not busy with tests.
		assert.Less(t, took, 30*time.Second, script)
	}
}

// What the kernel forgets, we forget. Nothing is left of a thousand downloads that
// came and went, or of files that were opened and closed.
func TestNothingLeaks(t *testing.T) {
	m := newTestMount(t)
	round := func() {
		m.ok(`for i in $(seq 100); do echo ` + idA + ` > $D/new; done; cat $D/*/status > /dev/null; ls -lR $M > /dev/null; rm -r $D/d*; ls $D`)
	}
	settle := func() (goroutines, fds int) {
		runtime.GC()
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return runtime.NumGoroutine(), len(entries)
	}
	round()
	goroutines, fds := settle()
	for range 5 {
		round()
	}
	m.eventually(func() bool { return len(m.server.root.downloads.Children()) <= 1 }, "the tree is empty")
	m.eventually(func() bool {
		g, f := settle()
		return g <= goroutines+4 && f <= fds+4
	}, "as many goroutines and descriptors as before")
	control := m.server.root.downloads.control
	m.eventually(func() bool {
		control.mu.Lock()
		defer control.mu.Unlock()
		return len(control.handles) == 0
	}, "no handle is left")
	assert.Empty(t, m.domain.Downloads())
}

// Hundreds of readers wait for one archive, and all get it.
func TestManyWaiters(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, data := m.archive(100_000)
	b := m.background(`python3 - <<'PYTHON'
import os,threading,hashlib
p=os.environ['D']+'/d1/archive.zip'
got=[]
def reader():
    try: got.append(hashlib.sha256(open(p,'rb').read()).hexdigest())
    except OSError as e: got.append(repr(e))
ts=[threading.Thread(target=reader) for i in range(300)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(got),*set(got))
PYTHON`)
	m.eventually(func() bool { return d.waiting() == 300 }, "all wait")
	start := time.Now()
	m.ok(`ls -l $D/d1; cat $D/d1/status`)
	assert.Less(t, time.Since(start), 3*time.Second, "others are served")
	d.finish(file, false)
	require.NoError(t, m.ended(b, 20*time.Second))
	assert.Equal(t, "300 "+hash(data)+"\n", b.out.String())
}
