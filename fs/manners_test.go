package fs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// errnos runs python statements, each on its own, and returns what became of
// each: the name of the errno, or "ok".
func (m *testMount) errnos(statements ...string) []string {
	m.Helper()
	var b strings.Builder
	b.WriteString("import os,errno,ctypes\nM=os.environ['M'];D=os.environ['D']\n" + `
libc=ctypes.CDLL(None,use_errno=True)
def call(f,*a):
    if getattr(libc,f)(*a)<0: raise OSError(ctypes.get_errno(),f)
def rename2(a,b,flags): call('renameat2',-100,a.encode(),-100,b.encode(),flags)
def write(p,flags=0): os.close(os.open(p,os.O_WRONLY|flags))
def attempt(s):
    try: exec(s); print('ok')
    except OSError as e: print(errno.errorcode[e.errno])
`)
	for _, s := range statements {
		fmt.Fprintf(&b, "attempt(%q)\n", s)
	}
	return strings.Split(m.ok("python3 - <<'PYTHON'\n"+b.String()+"PYTHON"), "\n")
}

// What a control file system refuses, it refuses with the errno that says so.
// Proves S-12, S-28, S-124, S-174.
func TestRefusals(t *testing.T) {
	tests := [][2]string{
		{`write(D+'/x',os.O_CREAT);os.unlink(D+'/x')`, "ok"},
		{`os.link(D+'/d1/status',D+'/x')`, "EPERM"},
		{`write(M+'/x',os.O_CREAT)`, "EPERM"},
		{`write(D+'/d1/x',os.O_CREAT|os.O_EXCL)`, "EACCES"},
		{`write(D+'/new',os.O_CREAT|os.O_EXCL)`, "EEXIST"},
		{`write(D+'/d1/archive.zip')`, "EACCES"},
		{`write(D+'/d1/status')`, "EACCES"},
		{`write(D+'/d1/status',os.O_TRUNC)`, "EACCES"},
		{`write(D+'/d1/status.json',os.O_APPEND)`, "EACCES"},
		{`write(D+'/d1/nodes')`, "EACCES"},
		{`write(M+'/README')`, "EACCES"},
		{`os.open(D+'/d1/status',os.O_RDONLY|os.O_TRUNC)`, "EPERM"},
		{`os.truncate(D+'/d1/archive.zip',0)`, "EPERM"},
		{`os.truncate(D+'/d1/status',0)`, "EPERM"},
		{`os.truncate(M+'/README',0)`, "EPERM"},
		{`os.mknod(D+'/x')`, "EPERM"},
		{`os.mkfifo(D+'/d1/x')`, "EACCES"},
		{`os.symlink('a',D+'/x')`, "EINVAL"},
		{`os.symlink('a',M+'/x')`, "EPERM"},
		{`os.link(D+'/d1/status',D+'/d1/x')`, "EACCES"},
		{`os.link(D+'/new',D+'/x')`, "EPERM"},
		{`os.mkdir(M+'/x')`, "EPERM"},
		{`os.mkdir(D+'/d1/x')`, "EACCES"},
		{`os.symlink('a',D+'/d1/x')`, "EACCES"},
		{`os.access(D+'/d1',os.W_OK) or write('/')`, "ok"},
		{`os.mkdir(D+'/New Folder')`, "EPERM"},
		{`os.mkdir(D+'/.Trash-1000')`, "EPERM"},
		{`os.mkdir(D+'/Thumbs.db')`, "EPERM"},
		{`os.mkdir(D+'/autorun.inf')`, "EPERM"},
		{`os.mkdir(D+'/d1')`, "EEXIST"},
		{`os.chmod(D+'/d1/status',0o777)`, "EPERM"},
		{`os.chmod(D+'/d1',0o777)`, "EPERM"},
		{`os.chmod(D+'/d1',0o500)`, "ok"},
		{`os.chmod(M,0o777)`, "EPERM"},
		{`os.chown(D+'/d1/status',12345,-1)`, "EPERM"},
		{`os.chown(D+'/d1/status',os.geteuid(),-1)`, "ok"},
		{`os.utime(D+'/d1/status',(1,1))`, "EPERM"},
		{`os.utime(D+'/new')`, "ok"},
		{`os.setxattr(D+'/d1/status','user.x',b'1')`, "ENOTSUP"},
		{`os.getxattr(D+'/d1/status','user.x')`, "ENOTSUP"},
		{`os.removexattr(D+'/d1/status','user.x')`, "ENODATA"},
		{`os.listxattr(D+'/d1/status')`, "ENOTSUP"},
		{`os.rename(D+'/d1/status',D+'/d1/x')`, "EPERM"},
		{`os.rename(D+'/d1/status',D+'/x')`, "EPERM"},
		{`os.rename(D+'/d1/status',D+'/d2/status')`, "EPERM"},
		{`os.rename(D+'/d1/status',D+'/d1/status')`, "ok"},
		{`os.rename(D+'/d1',M+'/d1')`, "EPERM"},
		{`os.rename(D+'/d1',D+'/d2/d1')`, "EPERM"},
		{`os.rename(M+'/README',D+'/d1/x')`, "EPERM"},
		{`os.rename(D,M+'/x')`, "EPERM"},
		{`os.rename(D+'/d1',D+'/d2')`, "EEXIST"},
		{`os.rename(D+'/none',D+'/x')`, "ENOENT"},
		{`rename2(D+'/d1',D+'/d2',1)`, "EEXIST"},
		{`rename2(D+'/d1',D+'/d2',2)`, "EINVAL"},
		{`rename2(D+'/d1',D+'/x',4)`, "EINVAL"},
		{`os.rename(D+'/d1',D+'/.x')`, "EPERM"},
		{`os.rename(D.encode()+b'/d1',D.encode()+b'/caf\xe9')`, "EILSEQ"},
		{`os.rename(D+'/d1',D+'/new')`, "ENOTDIR"},
		{`os.rename(D+'/new',D+'/x')`, "EPERM"},
		{`os.rename(D+'/d1/status',D+'/new')`, "EPERM"},
		{`os.unlink(D+'/new')`, "ok"},
		{`os.stat(D+'/new')`, "ENOENT"},
		{`write(D+'/new',os.O_CREAT|os.O_EXCL)`, "ok"},
		{`os.stat(D+'/new')`, "ok"},
		{`os.unlink(M+'/README')`, "EPERM"},
		{`os.unlink(D+'/d1')`, "EISDIR"},
		{`os.rmdir(D)`, "EPERM"},
		{`os.rmdir(D+'/none')`, "ENOENT"},
		{`os.rmdir(D+'/d1/status')`, "ENOTDIR"},
		{`os.rmdir(D+'/new')`, "ENOTDIR"},
		{`os.open(D+'/d1/x',os.O_RDONLY)`, "ENOENT"},
		{`os.open(D,os.O_TMPFILE|os.O_RDWR)`, "ENOTSUP"},
		{`os.listdir(D+'/d1/status')`, "ENOTDIR"},
		{`os.listdir(D+'/d1/status/x')`, "ENOTDIR"},
		{`os.readlink(D+'/d1/status')`, "EINVAL"},
		{`os.posix_fallocate(os.open(D+'/new',1),0,5)`, "ok"},
		{`os.chmod(D+'/new',0o777)`, "ok"},
		{`os.chown(D+'/new',12345,12345)`, "ok"},
		{`os.setxattr(D+'/new','user.x',b'1')`, "ok"},
		{`os.getxattr(D+'/new','user.x')`, "ENOTSUP"},
		{`os.truncate(D+'/new',5)`, "ok"},
		{`os.fsync(os.open(D+'/d1',0))`, "ok"},
		{`os.fsync(os.open(D+'/d1/status',0))`, "ok"},
		{`os.sync()`, "ok"},
		{`import fcntl;fcntl.flock(os.open(D+'/d1/status',0),fcntl.LOCK_EX)`, "ok"},
		{`os.stat(D+'/'+'n'*300)`, "ENAMETOOLONG"},
		{`os.stat(D+'/.hidden')`, "ENOENT"},
		{`os.access(D+'/d1/status',os.X_OK) and write('/')`, "ok"},
		{`os.unlink(D+'/d1/status');open(D+'/d1/status').read()`, "ok"},
	}
	m := newTestMount(t)
	m.domain.add("d1", nil)
	m.domain.add("d2", nil)
	m.domain.script(func(f *fakeDomain) {
		f.adopt = func(id download.ID) error { return fmt.Errorf("the server was asked for %s", id) }
	})
	var statements []string
	for _, test := range tests {
		statements = append(statements, test[0])
	}
	got := m.errnos(statements...)
	require.Len(t, got, len(tests))
	for i, test := range tests {
		assert.Equal(t, test[1], got[i], test[0])
	}
	assert.Equal(t, "README\ndownloads", m.ok(`ls $M`))
	assert.Equal(t, "d1\nd2\nnew", m.ok(`ls $D`))
	assert.Equal(t, "archive.zip\ncontents\nnodes\nstatus\nstatus.json", m.ok(`ls $D/d1`))
	assert.NotContains(t, m.log.String(), "level=ERROR")
}

// Proves S-26.
// Programs that offer to unpack beside an archive are told that they cannot.
// Proves S-174.
func TestUnpackers(t *testing.T) {
	m := newTestMount(t)
	m.domain.add("d1", nil)
	m.ok(`cp $(type -P test) $M/../ark; cp $(type -P test) $M/../other
$M/../other -w $D/d1 && $M/../ark -w $D && ! $M/../ark -w $D/d1 && $M/../ark -r $D/d1`)
}

// Proves S-26.
func TestRenameAndAdopt(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	before := m.ok(`stat -c %i $D/d1 $D/d1/status`)
	m.ok(`mv $D/d1 $D/q3-report`)
	assert.Equal(t, "new\nq3-report", m.ok(`ls $D`))
	assert.Equal(t, before, m.ok(`stat -c %i $D/q3-report $D/q3-report/status`), "the inode stays the same")
	assert.Contains(t, m.ok(`cat $D/q3-report/status`), "name: q3-report\n")
	m.ok(`mv -T $D/q3-report $D/d1`)
	assert.Equal(t, "d1", d.Snapshot().Name)

	m.ok(`mkdir $D/` + idA)
	assert.Equal(t, idA+"\nd1\nnew", m.ok(`ls $D`))
	m.domain.script(func(f *fakeDomain) {
		f.adopt = func(id download.ID) error { return fmt.Errorf("adopt %s: %w", id, download.ErrNotFound) }
	})
	out, err := m.sh(`mkdir $D/` + idB)
	require.Error(t, err)
	assert.Contains(t, out, "No such file or directory")
	assert.Equal(t, "error: "+idB+": the server has no such download; mkdir takes over one that was made elsewhere and is still there", m.ok(`cat $D/new`))

	m.domain.script(func(f *fakeDomain) {
		f.adopt = func(id download.ID) error { return fmt.Errorf("adopt %s: %w", id, download.ErrForbidden) }
	})
	out, err = m.sh(`mkdir $D/` + idB)
	require.Error(t, err)
	assert.Contains(t, out, "Permission denied")
	assert.Equal(t, "error: adopt "+idB+": permission denied", m.ok(`cat $D/new`))
}

// A position in a directory stays where it is while entries come and go.
// Proves S-30.
func TestReaddirStable(t *testing.T) {
	m := newTestMount(t)
	for i := range 500 {
		m.domain.add(download.ID(fmt.Sprintf("e%03d", i)), nil)
	}
	m.ok(`python3 - <<'PYTHON'
import os,ctypes
D=os.environ['D']
libc=ctypes.CDLL(None,use_errno=True)
libc.opendir.restype=ctypes.c_void_p
class dirent(ctypes.Structure):
    _fields_=[('ino',ctypes.c_uint64),('off',ctypes.c_int64),('reclen',ctypes.c_uint16),('type',ctypes.c_uint8),('name',ctypes.c_char*256)]
libc.readdir.restype=ctypes.POINTER(dirent)
libc.telldir.restype=ctypes.c_long
d=ctypes.c_void_p(libc.opendir(D.encode()))
seen=[];pos=[]
def rd():
    p=libc.readdir(d)
    return p and p.contents.name.decode()
for i in range(200):
    pos.append(libc.telldir(d)); seen.append(rd())
os.rmdir(D+'/e000'); os.rmdir(D+'/e250'); os.rename(D+'/e300',D+'/zzz')
while True:
    pos.append(libc.telldir(d)); n=rd()
    if not n: break
    seen.append(n)
want=['.','..','new']+['e%03d'%i for i in range(500)]
assert seen==want,(len(seen),len(want))
for i in (400,1,250,77,502):
    libc.seekdir(d,ctypes.c_long(pos[i])); assert rd()==want[i],i
libc.rewinddir(d); again=[]
while True:
    n=rd()
    if not n: break
    again.append(n)
assert 'e250' not in again and 'zzz' in again and len(again)==501,(len(again),again[:4],again[-3:])
PYTHON`)
	assert.Equal(t, "501", m.ok(`ls -a $D | wc -l`))
	m.ok(`rm -r $D/e* && test "$(ls $D | tr '\n' ' ')" = "new zzz "`)
	assert.Len(t, m.domain.Downloads(), 1)
}

// Proves S-174.
func TestAttributes(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", []download.NodeID{idA, idB})
	file, _ := m.archive(1234)
	d.finish(file, false)
	assert.Equal(t, `1 3 drwx------ 
3 3 drwx------ /downloads
2 1 -r-------- /README
4 1 -rw------- /downloads/new
16 2 dr-x------ /downloads/d1
17 1 -rw------- /downloads/d1/archive.zip
18 1 -rw------- /downloads/d1/status
19 1 -rw------- /downloads/d1/status.json
20 1 -rw------- /downloads/d1/nodes`, m.ok(`for f in '' /downloads /README /downloads/new /downloads/d1 /downloads/d1/{archive.zip,status,status.json,nodes}; do
stat -c "%i %h %A $f" $M$f; done`))
	assert.Equal(t, "74", m.ok(`stat -c %s $D/d1/nodes`))
	m.ok(`cd $D/d1 && test "$(cd .. && pwd)" = $D && ls -di $D/d1/.. $D/d1/../.. | grep -q '3 .*'`)
	m.ok(`for f in status status.json; do test $(stat -c %s $D/d1/$f) = $(wc -c < <(cat $D/d1/$f)); done`)
	// A removed directory that is somebody's working directory.
	out, err := m.sh(`cd $D/d1; rmdir $D/d1; stat -c %h .; ls -A .; cat status`)
	require.Error(t, err)
	assert.Contains(t, out, "No such file or directory")
	assert.Contains(t, m.ok(`df -B1 --output=size,used,avail $M | tail -1`), "1073741824 1048576 536870912")
}

// What is open stays readable after it was removed.
// Proves S-24.
func TestUnlinkedButOpen(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, data := m.archive(300_000)
	d.finish(file, false)
	out := m.ok(`exec 3<$D/d1/archive.zip 4<$D/d1/status; rm -r $D/d1; ls $D; sha256sum <&3; grep -c DONE <&4; stat -L -c %s /dev/fd/3`)
	assert.Equal(t, "new\n"+hash(data)+"  -\n1\n300000", out)
}
