package fs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// passthrough reports how the archive is open now.
func (m *testMount) passthrough(name string) (open int, direct bool) {
	m.Helper()
	child := m.server.root.downloads.GetChild(name)
	require.NotNil(m, child)
	n := child.Operations().(*entryNode).archive
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.opens.count, n.opens.whole != nil
}

// The kernel fails an open with EIO while one of the other way is open, so the
// ways follow each other: what is open decides.
func TestPassthroughNeverMixed(t *testing.T) {
	asRoot(t)
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, data := m.archive(1 << 20)
	sum := hash(data) + "  -"
	d.finish(file, false)
	m.ok(`ls -l $D/d1`)
	local := func(is bool) { m.domain.script(func(*fakeDomain) { d.local = is }) }
	// Closing is told to us after close(2) has returned, so counts are awaited.
	opened := func(want int) {
		t.Helper()
		m.eventually(func() bool { n, _ := m.passthrough("d1"); return n == want }, fmt.Sprintf("%d open", want))
	}
	held := 0
	hold := func() *background {
		t.Helper()
		opened(held)
		held++
		b := m.background(`exec 3<$D/d1/archive.zip; sleep 30`)
		opened(held)
		return b
	}
	let := func(b *background) {
		t.Helper()
		require.NoError(t, b.Cancel())
		<-b.done
		held--
		opened(held)
	}
	way := func() bool { _, direct := m.passthrough("d1"); return direct }
	read := func() {
		t.Helper()
		assert.Equal(t, sum, m.ok(`sha256sum < $D/d1/archive.zip`))
		assert.Equal(t, sum, m.ok(`python3 -c "
import mmap,os,sys
sys.stdout.buffer.write(mmap.mmap(os.open('$D/d1/archive.zip',0),0,prot=mmap.PROT_READ)[:])" | sha256sum`))
	}

	ordinary := hold()
	assert.False(t, way())
	local(true) // fetched meanwhile
	read()
	second := hold()
	assert.False(t, way(), "as long as an ordinary one is open")
	let(ordinary)
	read()
	let(second)

	direct := hold()
	assert.True(t, way())
	read()
	local(false) // no longer whole
	read()
	another := hold()
	assert.True(t, way(), "as long as a direct one is open")
	let(direct)
	read()
	let(another)
	third := hold()
	assert.False(t, way())
	read()
	let(third)
	assert.NotContains(t, m.log.String(), "level=ERROR")
}

// Opening and closing while the archive becomes complete, and no longer is.
func TestPassthroughRaces(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, _ := m.archive(1 << 20)
	d.finish(file, false)
	b := m.background(`python3 - <<'PYTHON'
import os,threading,time,hashlib
p=os.environ['D']+'/d1/archive.zip'
want=hashlib.sha256(open(p,'rb').read()).digest()
end=time.time()+3
bad=[]
def reader(i):
    while time.time()<end:
        try:
            with open(p,'rb') as f:
                if hashlib.sha256(f.read()).digest()!=want: bad.append('bytes')
        except OSError as e: bad.append(e)
ts=[threading.Thread(target=reader,args=(i,)) for i in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print('bad',len(bad),bad[:3])
PYTHON`)
	for i := 0; ; i++ {
		m.domain.script(func(*fakeDomain) { d.local = i%2 == 0 })
		select {
		case err := <-b.done:
			require.NoError(t, err)
			assert.Equal(t, "bad 0 []\n", b.out.String())
			return
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// Reading is right at every offset, whichever way.
func TestArchiveOffsets(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
		for _, local := range []bool{true, false} {
			t.Run(fmt.Sprint(size, local), func(t *testing.T) {
				m := newTestMount(t)
				d := m.domain.add("d1", nil)
				file, data := m.archive(size)
				d.finish(file, local)
				assert.Equal(t, hash(data)+"  -", m.ok(`sha256sum < $D/d1/archive.zip`))
				m.ok(fmt.Sprintf(`python3 -c "
import os,errno
f=os.open('$D/d1/archive.zip',0); n=%d
a=os.pread(f,1<<21,0); assert len(a)==n
for off in (0,1,n//2,max(n-1,0),n,n+1,1<<40):
    assert os.pread(f,7,off)==a[off:off+7],off
assert os.lseek(f,0,os.SEEK_END)==n
try: assert os.lseek(f,0,os.SEEK_DATA)==0 and n
except OSError as e: assert e.errno==errno.ENXIO and not n
assert n==0 or os.lseek(f,0,os.SEEK_HOLE)==n
"`, size))
			})
		}
	}
}
